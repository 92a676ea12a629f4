"""Readers of the published files: each yields images in the row order of a grid, some at a time.

The grid is an argument, so that a small file of the true format can be read as well.
"""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from isavae.data.factors import FactorGrid
from isavae.data.mapped_file import MappedImages
from isavae.data.official.matlab import mat_array, norb_matrix
from isavae.data.safe_reading import (
    as_refused_file,
    check,
    hdf5_array,
    hdf5_rows,
    import_extra,
    named,
    npz_member,
    npz_offset,
    rows_of,
)
from isavae.data.torch_file import read_tensors
from isavae.files import open_regular

Blocks = Iterator[np.ndarray]
# Bytes of all members together, far above the published archive.
CARS_ARCHIVE_LIMIT = 1 << 33


def read_dsprites(paths: Sequence[Path], grid: FactorGrid) -> Blocks:
    """DSprites from the .npz or the .hdf5 file: packed, one bit a pixel."""
    (path,) = paths
    shape = (len(grid), 64, 64)
    if path.suffix == ".npz":
        with as_refused_file(path, "dSprites' .npz file"):
            with npz_member(path, named("latents_classes")) as (file, found):
                right = found.shape == (len(grid), 6)
                check(right, path, f"{len(grid)} rows of 6 latents", found.shape)
                check(found.dtype == np.int64, path, "latents of type int64", found.dtype)
                _check_classes(np.concatenate(list(rows_of(file, found, path))), grid, path)
            with npz_member(path, named("imgs")) as (file, found):
                _check_uint8(found.shape, found.dtype, shape, path)
                yield from (_pack(block, path) for block in rows_of(file, found, path))
    else:
        with as_refused_file(path, "dSprites' .hdf5 file"):
            with hdf5_array(path, "latents/classes", (len(grid), 6)) as classes:
                _check_classes(classes[:], grid, path)
            with hdf5_array(path, "imgs", shape) as images:
                check(images.dtype == np.uint8, path, "images of type uint8", images.dtype)
                yield from (_pack(block, path) for block in hdf5_rows(images))


def read_faces(paths: Sequence[Path], grid: FactorGrid) -> Blocks:
    """3D faces from the .pth file: one tensor, loaded as weights only."""
    import torch

    (path,) = paths
    shape = (*grid.sizes, 64, 64)
    with as_refused_file(
        path, "the 3D faces' .pth file, one uint8 tensor that loads as weights only"
    ):
        size, most = path.stat().st_size, int(np.prod(shape)) + (1 << 20)
        check(size <= most, path, f"at most {most} bytes", f"{size} bytes")
        with open_regular(path) as file:
            faces = read_tensors(file, path)
        check(isinstance(faces, torch.Tensor), path, "one tensor", type(faces).__name__)
        found = f"{faces.dtype} {tuple(faces.shape)}"
        right = faces.dtype == torch.uint8 and tuple(faces.shape) == shape
        check(right and faces.layout == torch.strided, path, f"uint8 {shape}", found)
        for identity in faces:
            yield identity.reshape(-1, 1, 64, 64).numpy()


def read_shapes3d(paths: Sequence[Path], grid: FactorGrid) -> Blocks:
    """3D shapes from the .h5 file; classes go by position, for the published values are rounded."""
    (path,) = paths
    shape = (len(grid), 64, 64, 3)
    with (
        as_refused_file(path, "the 3D shapes' .h5 file"),
        hdf5_array(path, "images", shape) as images,
    ):
        check(images.dtype == np.uint8, path, "images of type uint8", images.dtype)
        yield from (_channels_first(block) for block in hdf5_rows(images))


def read_mpi3d(paths: Sequence[Path], grid: FactorGrid) -> Blocks:
    """MPI3D from one of its .npz files, if it was compressed again (see `map_mpi3d`)."""
    (path,) = paths
    shape = (len(grid), 64, 64, 3)
    with (
        as_refused_file(path, "an MPI3D .npz file"),
        npz_member(path, named("images")) as (file, found),
    ):
        _check_uint8(found.shape, found.dtype, shape, path)
        yield from (_channels_first(block) for block in rows_of(file, found, path))


def map_mpi3d(path: Path, grid: FactorGrid) -> MappedImages | None:
    """Where the images of MPI3D lie uncompressed in one of its .npz files; None if packed."""
    with as_refused_file(path, "an MPI3D .npz file"):
        found = npz_offset(path, named("images"))
        if found is None:
            return None
        offset, shape, dtype = found
        _check_uint8(shape, dtype, (len(grid), 64, 64, 3), path)
        return MappedImages.at(path, offset, (len(grid), 64, 64, 3))


def read_cars(paths: Sequence[Path], grid: FactorGrid) -> Blocks:
    """Cars3D from the archive or its unpacked folder, made 64 x 64 by Lanczos' filter."""
    (path,) = paths
    elevations, azimuths, objects = grid.sizes
    with as_refused_file(path, "Cars3D's archive or folder"):
        names: list[str] = []
        cars: dict[str, np.ndarray] = {}
        for name, data in _cars_members(path, objects):
            if name == "list.txt":
                names = data.decode().split()
            else:
                cars[name.removesuffix(".mat")] = _car(data, (azimuths, elevations), path)
        check(len(names) == objects, path, f"a list.txt of {objects} names", names)
        missing = [name for name in names if name not in cars]
        check(not missing, path, "a .mat file for every name", f"none for {missing[:5]}")
        for elevation in range(elevations):
            for azimuth in range(azimuths):
                yield np.stack([cars[name][azimuth, elevation] for name in names])


def read_norb(paths: Sequence[Path], grid: FactorGrid) -> Blocks:
    """SmallNORB (images, categories, info of one split): both cameras as two channels, 96 x 96."""
    images, category, info = (
        norb_matrix(path, shape)
        for path, shape in zip(
            paths, [(len(grid), 2, 96, 96), (len(grid),), (len(grid), 4)], strict=True
        )
    )
    labels = np.column_stack([category, info]).astype(np.int64)
    rows = np.lexsort(labels.T[::-1])
    ranked = np.column_stack([np.unique(one, return_inverse=True)[1] for one in labels[rows].T])
    complete = np.array_equal(ranked, grid.labels_array())
    check(complete, paths[2], "every combination of the factors once", "others")
    for first in range(0, len(rows), 512):
        yield images[rows[first : first + 512]]


def _pack(images: np.ndarray, path: Path) -> np.ndarray:
    check(images.max() <= 1, path, "pixels that are 0 or 1", int(images.max()))
    return np.packbits(images.reshape(len(images), -1), axis=1)


def _check_uint8(
    found: tuple[int, ...], dtype: np.dtype, shape: tuple[int, ...], path: Path
) -> None:
    check(found == shape and dtype == np.uint8, path, f"uint8 {shape}", f"{dtype} {found}")


def _channels_first(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2)


def _check_classes(classes: np.ndarray, grid: FactorGrid, path: Path) -> None:
    ordered = np.array_equal(classes[:, 1:], grid.labels_array())
    check(ordered, path, "latents in row-major order", "another order")


def _cars_members(path: Path, objects: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of list.txt and of the .mat files, from the archive or the folder."""
    most = 24 << 20  # a published .mat file holds 4.7 MB of pixels
    if path.is_dir():
        folder = path / "data/cars" if (path / "data/cars").is_dir() else path
        for file in sorted([folder / "list.txt", *folder.glob("*.mat")]):
            size = file.stat().st_size
            check(size <= most, file, f"at most {most} bytes", f"{size} bytes")
            yield file.name, file.read_bytes()
        return
    total, cars = 0, 0
    with tarfile.open(path, "r|gz") as archive:  # a stream: members are read, never unpacked
        for member in archive:
            name = PurePosixPath(member.name)
            safe = not name.is_absolute() and ".." not in name.parts
            check(safe, path, "members inside its own folder", repr(member.name))
            total += max(0, member.size)
            check(total <= CARS_ARCHIVE_LIMIT, path, "at most 8 GiB of members", "more")
            wanted = name.name == "list.txt" or name.suffix == ".mat"
            if member.isfile() and wanted and name.parent.parts[-2:] == ("data", "cars"):
                check(member.size <= most, path, f"members of at most {most} bytes", member.size)
                cars += 1
                check(cars <= objects + 1, path, f"{objects} cars", "more")
                content = archive.extractfile(member)
                if content is not None:
                    yield name.name, content.read()


def _car(data: bytes, views: tuple[int, int], path: Path) -> np.ndarray:
    """Images of one car: uint8 (azimuth, elevation, 3, 64, 64)."""
    image = import_extra("PIL.Image")
    pixels = mat_array(data, "im", path)
    _check_uint8(pixels.shape, pixels.dtype, (128, 128, 3, *views), path)
    small = np.empty((*views, 64, 64, 3), np.uint8)
    for view in np.ndindex(*views):
        view_image = image.fromarray(np.ascontiguousarray(pixels[(..., *view)]))
        small[view] = view_image.resize((64, 64), image.Resampling.LANCZOS)
    return small.transpose(0, 1, 4, 2, 3)
