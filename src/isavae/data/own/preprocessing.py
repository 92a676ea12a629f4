"""`Preprocessing`: how an image file becomes the array that a model sees."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import UInt8

from isavae.data.own.decoding import FITS, decode


@final
@dataclass(frozen=True)
class Preprocessing:
    """How image files become arrays of one shape: the same in training and in use.

    Args:
        size: Height and width.
        fit: How images of another size are brought to it (see `decode`); None refuses them.
        channels: 1 for grey, 3 for colour.

    Examples:
        >>> preprocessing = Preprocessing((64, 48), "pad", channels=1)
        >>> preprocessing.shape
        (1, 64, 48)
        >>> Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
        True
    """

    size: tuple[int, int]
    fit: str | None = "crop"
    channels: int = 3

    def __post_init__(self) -> None:
        rules = (
            ("size", "two positive whole numbers", self.size, min(self.size) > 0),
            ("fit", f"one of {', '.join(FITS)}", self.fit, self.fit in (None, *FITS)),
            ("channels", "1 or 3", self.channels, self.channels in (1, 3)),
        )
        for name, must, value, holds in rules:
            if not holds:
                raise ValueError(f"The option {name} must be {must}, but is {value!r}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, *self.size

    def read(self, source: str | bytes) -> UInt8[np.ndarray, "channels height width"]:
        """Decode an image file, given by its path or its bytes.

        Raises:
            UnreadableImageError: If the file is damaged, no image or too large.
            ImageSizeError: If the image has another size and there is no `fit`.
        """
        return decode(source, self.size, self.fit, self.channels)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Preprocessing":
        return cls(tuple(fields["size"]), fields["fit"], fields["channels"])

    @classmethod
    def of_model(cls, metadata: Mapping[str, Any], shape: tuple[int, int, int]) -> "Preprocessing":
        """The preprocessing that a model was trained with.

        Args:
            metadata: The metadata of the model file.
            shape: (channels, height, width) of the model's images. A model that was not trained on
                a folder gets images cropped to it.

        Raises:
            ValueError: If no image file has so many channels.
        """
        fields = metadata.get("preprocessing")
        return cls(shape[1:], "crop", shape[0]) if fields is None else cls.from_dict(fields)
