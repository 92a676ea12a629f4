"""The published data sets: addresses, factors, and the hashes that public loaders quote."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from isavae.data import grids
from isavae.data.factors import FactorGrid
from isavae.data.mapped_file import MappedImages
from isavae.data.official import readers


@final
@dataclass(frozen=True)
class PublishedFile:
    """A file of a data set.

    Args:
        name: The name of the file.
        folder: The address of its folder; empty if it may not be downloaded.
        hash: `md5:` or `sha256:` and the digest; empty if none is known.
    """

    name: str
    folder: str
    hash: str = ""


@final
@dataclass(frozen=True)
class PublishedDataset:
    """A published data set.

    Args:
        files: The files.
        shape: (channels, height, width) as images are kept here.
        grid: The factors.
        read: Reads the files, in the order of `files`, in blocks of rows of the grid.
        about: A description in one line.
        licence: The licence, or where to find it.
        map: Finds images that lie uncompressed in the only file and may stay there.
        binary: Whether pixels are kept as single bits.
        alternatives: Whether each of the files is the whole data set.
    """

    files: tuple[PublishedFile, ...]
    shape: tuple[int, int, int]
    grid: FactorGrid
    read: Callable[[Sequence[Path], FactorGrid], Iterator[np.ndarray]]
    about: str
    licence: str
    map: Callable[[Path, FactorGrid], MappedImages | None] | None = None
    binary: bool = False
    alternatives: bool = False


DSPRITES = "https://github.com/google-deepmind/dsprites-dataset/raw/master"
MPI3D = "https://storage.googleapis.com/mpi3d_disentanglement_dataset/data"
NORB = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"


def _mpi3d(file: str, md5: str, what: str) -> PublishedDataset:
    return PublishedDataset(
        files=(PublishedFile(file, MPI3D, f"md5:{md5}"),),
        shape=(3, 64, 64),
        grid=grids.MPI3D,
        read=readers.read_mpi3d,
        map=readers.map_mpi3d,
        about=f"a robot arm that holds an object, {what}, 64 x 64 colour",
        licence="CC BY 4.0",
    )


def _norb(split: str, instances: str, **hashes: str) -> PublishedDataset:
    stem = f"smallnorb-5x{instances}x9x18x6x2x96x96-{split}"
    return PublishedDataset(
        files=tuple(
            PublishedFile(f"{stem}-{kind}.mat.gz", NORB, f"sha256:{sha256}")
            for kind, sha256 in hashes.items()
        ),
        shape=(2, 96, 96),
        grid=grids.SMALLNORB,
        read=readers.read_norb,
        about=f"toys seen by two cameras, {split} split, 96 x 96 grey",
        licence="research only, see the NORB page",
    )


OFFICIAL: dict[str, PublishedDataset] = {
    "dsprites-official": PublishedDataset(
        files=(
            PublishedFile(
                "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
                DSPRITES,
                "md5:7da33b31b13a06f4b04a70402ce90c2e",
            ),
            PublishedFile(
                "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5",
                DSPRITES,
                "sha256:729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb",
            ),
        ),
        shape=(1, 64, 64),
        grid=grids.DSPRITES,
        read=readers.read_dsprites,
        about="2-D shapes, 64 x 64 binary, the published file",
        licence="Apache-2.0",
        binary=True,
        alternatives=True,
    ),
    "faces3d": PublishedDataset(
        files=(PublishedFile("basel_face_renders.pth", ""),),
        shape=(1, 64, 64),
        grid=grids.FACES3D,
        read=readers.read_faces,
        about="renders of the Basel face model, 64 x 64 grey",
        licence="Basel face model licence: may not be distributed",
    ),
    "cars3d": PublishedDataset(
        files=(
            PublishedFile(
                "nips2015-analogy-data.tar.gz",
                "http://www.scottreed.info/files",
                "md5:4e866a7919c1beedf53964e6f7a23686",
            ),
        ),
        shape=(3, 64, 64),
        grid=grids.CARS3D,
        read=readers.read_cars,
        about="renders of car models, 64 x 64 colour",
        licence="none stated",
    ),
    "shapes3d": PublishedDataset(
        files=(
            PublishedFile(
                "3dshapes.h5",
                "https://storage.googleapis.com/3d-shapes",
                "sha256:0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785",
            ),
        ),
        shape=(3, 64, 64),
        grid=grids.SHAPES3D,
        read=readers.read_shapes3d,
        about="an object in a room, 64 x 64 colour",
        licence="Apache-2.0",
    ),
    "mpi3d-toy": _mpi3d("mpi3d_toy.npz", "55889cb7c7dfc655d6e0277beee88868", "simple renders"),
    "mpi3d-realistic": _mpi3d(
        "mpi3d_realistic.npz", "59a6225b88b635365f70c91b3e52f70f", "realistic renders"
    ),
    "mpi3d-real": _mpi3d("real.npz", "0f33f609918fb5c97996692f91129802", "photographs"),
    "smallnorb": _norb(
        "training",
        "46789",
        dat="5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873",
        cat="2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa",
        info="de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32",
    ),
    "smallnorb-test": _norb(
        "testing",
        "01235",
        dat="cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474",
        cat="ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff",
        info="16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2",
    ),
}
