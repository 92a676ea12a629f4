"""The published files of data sets: where they are, and how to read them safely."""

from isavae.data.official.acquire import download, how_to_get, import_official, open_official
from isavae.data.official.files import OFFICIAL
from isavae.data.official.verify import verify_dsprites

__all__ = [
    "OFFICIAL",
    "download",
    "how_to_get",
    "import_official",
    "open_official",
    "verify_dsprites",
]
