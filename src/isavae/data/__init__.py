"""Images and the factors behind them: drawn here, official, or your own."""

from isavae.data.catalog import DATASETS, load
from isavae.data.dataset import ImageDataset
from isavae.data.drawn.sprites import dsprites
from isavae.data.factors import FactorGrid
from isavae.data.official import download, import_official, verify_dsprites
from isavae.data.own.folder import read_folder
from isavae.data.own.preprocessing import Preprocessing
from isavae.data.places import cache_folder

__all__ = [
    "DATASETS",
    "FactorGrid",
    "ImageDataset",
    "Preprocessing",
    "cache_folder",
    "download",
    "dsprites",
    "import_official",
    "load",
    "read_folder",
    "verify_dsprites",
]
