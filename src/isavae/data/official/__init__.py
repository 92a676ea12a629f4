"""The published files of data sets: their names and places, and how to read them safely."""

from isavae.data.official.acquire import download, import_official, open_official
from isavae.data.official.files import OFFICIAL

__all__ = ["OFFICIAL", "download", "import_official", "open_official"]
