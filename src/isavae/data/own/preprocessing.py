"""`Preprocessing`: how an image file becomes the array that a model sees."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from isavae.data.own.decoding import AS_CHANNELS, DEFAULT_FIT, FITS, DecodedImage, decode
from isavae.data.own.image_file import ImageFile
from isavae.data.own.tiff_file import MAX_PIXELS
from isavae.data.own.value_range import FULL_RANGE, ValueRange

# The option `pages` for every page of a file.
ALL = "all"


def lacking_fit(size: tuple[int, int]) -> str:
    """What to say where images have another size, and the option `fit` is not given."""
    return (
        f"`fit` must say how images become {size[0]} x {size[1]}, but is not given: "
        "add fit=crop, fit=pad or fit=stretch."
    )


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from "64" or "64x48".

    Raises:
        ValueError: If it is neither.

    Examples:
        >>> parse_size("64"), parse_size("64x48")
        ((64, 64), (64, 48))
    """
    sides = re.split("[x×]", text.strip().lower())
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise ValueError(
            f"The option size must be whole numbers, such as 64 or 48x64 (height x width), but is "
            f"{text!r}."
        )
    return int(sides[0]), int(sides[-1])


@final
@dataclass(frozen=True)
class Preprocessing:
    """How image files become arrays of one shape: the same in training and in use.

    Args:
        size: Height and width.
        fit: How images of another size are brought to it (see `decode`); None refuses them.
        channels: 1 for grey, 3 for colour, or the number of channels that an image must have.
        values: The values that become black and white.
        pages: The page or frame that is read of a file, counted from 1; `all`, or `channels` for
            all of them as the channels of one image.
        show: The channels that are shown as red, green and blue, or the one that is shown as grey;
            by default grey and colour images as they are, others channel by channel.

    Raises:
        ValueError: If no image could follow it.

    Examples:
        >>> preprocessing = Preprocessing((64, 48), "pad", channels=1)
        >>> preprocessing.shape
        (1, 64, 48)
        >>> Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
        True
    """

    size: tuple[int, int]
    fit: str | None = DEFAULT_FIT
    channels: int = 3
    values: ValueRange = FULL_RANGE
    pages: int | str = 1
    show: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        is_page = self.pages in (ALL, AS_CHANNELS) or (
            isinstance(self.pages, int) and self.pages > 0
        )
        can_show = len(self.show) in (0, 1, 3) and {*self.show} <= {*range(self.channels)}
        shown = f"one or three of the channels 0..{self.channels - 1}"
        rules = (
            ("size", "two positive whole numbers", self.size, min(self.size) > 0),
            (
                "size",
                f"at most {MAX_PIXELS:,} pixels",
                self.size,
                math.prod(self.size) <= MAX_PIXELS,
            ),
            ("fit", f"one of {', '.join(FITS)}", self.fit, self.fit in (None, *FITS)),
            ("channels", "positive", self.channels, self.channels > 0),
            ("pages", "first, all, channels or a number from 1", self.pages, is_page),
            ("show", shown, self.show, can_show),
        )
        for name, must, value, holds in rules:
            if not holds:
                raise ValueError(f"The option {name} must be {must}, but is {value!r}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image that was read."""
        return self.channels, *self.size

    def decode(self, source: str | bytes | ImageFile, page: int | str = 1) -> DecodedImage:
        """Decode a page of an image file.

        Args:
            source: The file, or its path or bytes.
            page: Which page, counted from 1, or `channels` for all of them as channels.

        Raises:
            UnreadableImageError: If the file is damaged, no image or too large.
            ImageSizeError: If the image has another size and there is no `fit`.
        """
        return decode(source, self.size, self.fit, self.channels, self.values, page)

    def read(self, source: str | bytes) -> UInt8[np.ndarray, "channels height width"]:
        """The pixels of an image file; of several pages, the first of those that are read."""
        return self.decode(source, 1 if self.pages == ALL else self.pages).pixels

    def shown(
        self, images: Float[Tensor, "*n channels height width"]
    ) -> Float[Tensor, "*n shown height width"]:
        """The channels of images that are shown.

        Examples:
            >>> import torch
            >>> how = Preprocessing((8, 6), channels=5, show=(4, 0, 2))
            >>> how.shown(torch.rand(9, 5, 8, 6)).shape
            torch.Size([9, 3, 8, 6])
        """
        return images[..., list(self.show), :, :] if self.show else images

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-like values, for a model file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Preprocessing":
        """The preprocessing whose `to_dict` gave these fields.

        Raises:
            KeyError: If a field is missing.
        """
        stored = fields["values"]
        deep = None if stored["deep"] is None else tuple(stored["deep"])
        values = ValueRange(tuple(stored["byte"]), deep)
        return cls(
            tuple(fields["size"]),
            fields["fit"],
            fields["channels"],
            values,
            fields["pages"],
            tuple(fields["show"]),
        )

    @classmethod
    def of_model(cls, metadata: Mapping[str, Any], shape: tuple[int, int, int]) -> "Preprocessing":
        """The preprocessing that a model was trained with.

        Args:
            metadata: The metadata of the model file.
            shape: (channels, height, width) of the model's images. A model that was not trained on
                a folder gets images cropped to it.
        """
        fields = metadata.get("preprocessing")
        return cls(shape[1:], DEFAULT_FIT, shape[0]) if fields is None else cls.from_dict(fields)
