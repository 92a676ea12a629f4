"""What reading changed in images or left out of their files, counted."""

from typing import final

import numpy as np

from isavae.data.own.decoding import DecodedImage
from isavae.data.own.preprocessing import ALL, Preprocessing
from isavae.data.own.value_range import describe_range
from isavae.errors import counted

# A share of an image that rounding the size may cut off.
ROUNDED = 0.01


@final
class Changes:
    """Counts over the images that are read.

    Args:
        preprocessing: How they are read.
    """

    def __init__(self, preprocessing: Preprocessing):
        self._preprocessing = preprocessing
        self._paged = self._pages = self._clipped = 0
        self._cut: list[float] = []
        self._dtypes: dict[np.dtype, None] = {}  # in their order

    def add(self, image: DecodedImage) -> None:
        if image.pages > 1 and self._preprocessing.pages != ALL:
            self._paged += 1
            self._pages += image.pages - 1
        self._clipped += image.clips
        self._cut.append(image.cut)
        self._dtypes[image.dtype] = None

    def sentences(self) -> list[str]:
        """What was changed or left out, one sentence each."""
        found = describe_range(self._preprocessing.values, self._clipped, self._dtypes)
        if self._paged:
            verb = "is" if self._pages == 1 else "are"
            found.append(
                f"Of {counted(self._paged, 'file')} with several pages or frames one is read, "
                f"{counted(self._pages, 'other')} {verb} left out: pages=all reads all, "
                "pages=channels takes them for channels."
            )
        cut = np.array(self._cut)
        if (cut > ROUNDED).any():
            found.append(
                f"Cropping cuts off {cut.mean():.0%} of the images, and up to {cut.max():.0%} of "
                f"one: fit=pad or fit=stretch keeps all."
            )
        return found
