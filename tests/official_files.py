"""Small files of every published format, written by the libraries that would write them."""

import gzip
import io
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import torch

from isavae.data import FactorGrid
from isavae.data.official import OFFICIAL

SIZES = {
    "dsprites-official": (2, 1, 3, 2, 2),
    "faces3d": (2, 3, 1, 2),
    "cars3d": (2, 3, 4),
    "shapes3d": (2, 1, 2, 2, 1, 3),
    "mpi3d-toy": (1, 2, 2, 1, 1, 3, 2),
    "mpi3d-realistic": (2, 2, 1, 1, 1, 1, 1),
    "mpi3d-real": (2, 2, 1, 1, 1, 1, 2),
    "smallnorb": (2, 1, 2, 3, 2),
    "smallnorb-test": (1, 1, 1, 3, 2),
}


def small(name: str):
    """The published data set on a grid of a few images."""
    official = OFFICIAL[name]
    return replace(official, grid=FactorGrid(official.grid.names, SIZES[name]))


def pixels(name: str) -> np.ndarray:
    """What the small data set shows: (images, channels, height, width)."""
    official = small(name)
    most = 2 if official.binary else 256
    shape = (len(official.grid), *official.shape)
    return np.random.default_rng(len(name)).integers(0, most, shape, dtype=np.uint8)


def write_file(name: str, folder: Path, suffix: str = ".npz") -> Path:
    """Write the small data set in its published format; the path that is to be imported."""
    images, grid = pixels(name), small(name).grid
    files = [folder / file.name for file in OFFICIAL[name].files]
    if name == "dsprites-official":
        latents = np.column_stack([np.zeros(len(grid), int), grid.labels_array()])
        if suffix == ".npz":
            np.savez_compressed(
                files[0],
                imgs=images[:, 0],
                latents_classes=latents,
                latents_values=latents.astype(float),
                metadata=np.array({"a pickle": print}, dtype=object),
            )
            return files[0]
        with h5py.File(files[1], "w") as file:
            file.create_dataset("imgs", data=images[:, 0], compression="gzip", chunks=True)
            file["latents/classes"], file["latents/values"] = latents, latents.astype(float)
        return files[1]
    if name == "faces3d":
        zipped = suffix != ".old"
        shape = (*grid.sizes, 64, 64)
        torch.save(
            torch.from_numpy(images.reshape(shape)),
            files[0],
            _use_new_zipfile_serialization=zipped,
        )
    elif name == "cars3d":
        _write_cars(files[0], grid)
    elif name == "shapes3d":
        with h5py.File(files[0], "w") as file:
            file.create_dataset("images", data=images.transpose(0, 2, 3, 1), compression="gzip")
            file["labels"] = grid.labels_array() * 0.1
    elif name.startswith("mpi3d"):
        save = np.savez_compressed if suffix == ".packed" else np.savez
        save(files[0], images=images.transpose(0, 2, 3, 1))
    else:
        _write_norb(files, images, grid)
        return folder
    return files[0]


def car_pixels(grid: FactorGrid) -> np.ndarray:
    """Uint8 (object, 128, 128, 3, azimuth, elevation): four squares each."""
    elevations, azimuths, objects = grid.sizes
    corner = np.random.default_rng(0).integers(0, 256, (objects, 2, 2, 3, azimuths, elevations))
    return corner.repeat(64, 1).repeat(64, 2).astype(np.uint8)


def _write_cars(path: Path, grid: FactorGrid) -> None:
    names = [f"car_{k}" for k in reversed(range(grid.sizes[2]))]
    with tarfile.open(path, "w:gz") as archive:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        add("data/cars/list.txt", "\n".join(names).encode())
        add("data/sprites/other.mat", b"not a car")
        for name, car in sorted(
            zip(names, car_pixels(grid), strict=True), key=lambda pair: pair[0]
        ):
            mat = io.BytesIO()
            scipy.io.savemat(mat, {"im": car}, do_compression=True)
            add(f"data/cars/{name}.mat", mat.getvalue())


def _write_norb(files: list[Path], images: np.ndarray, grid: FactorGrid) -> None:
    order = np.random.default_rng(2).permutation(len(grid))
    labels = grid.labels_array()[order]
    info = labels[:, 1:] * [2, 1, 2, 1] + [
        4,
        0,
        0,
        0,
    ]  # instances and azimuths are not 0, 1, 2, ...
    for path, array in zip(files, (images[order], labels[:, 0], info), strict=True):
        is_bytes = array.dtype == np.uint8
        dimensions = [*array.shape, 1, 1][: max(3, array.ndim)]
        head = struct.pack("<ii", 0x1E3D4C55 if is_bytes else 0x1E3D4C54, array.ndim)
        with gzip.open(path, "wb") as file:
            file.write(head + struct.pack(f"<{len(dimensions)}i", *dimensions))
            file.write(array.astype(array.dtype if is_bytes else "<i4").tobytes())
