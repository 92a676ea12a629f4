"""Arrays that claim more than their files can hold are refused before they are read."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from isavae.data.own.arrays import read_array
from isavae.data.safe_reading import RefusedFileError


def npz_of(path, shape, content):
    head = io.BytesIO()
    about = {"descr": "|b1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, about)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", head.getvalue() + bytes(content))


@pytest.mark.parametrize("shape", [(20, 100_000, 100_000), (10**9, 32, 32), (1 << 40, 1, 1)])
def test_an_hdf5_file_holds_what_it_claims(tmp_path, shape):
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", shape, "u1", chunks=(1, 1, 1), compression="gzip")
    with pytest.raises(RefusedFileError, match=r"images of at most|bytes of images in so small"):
        read_array(path)


def nested(path, depth):
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(depth):
            group = group.create_group("g")
        group["images"] = np.zeros((3, 4, 4), np.uint8)
    return path


def test_groups_of_an_hdf5_file_are_passed_to_a_depth_of_32(tmp_path):
    assert sum(map(len, read_array(nested(tmp_path / "a.h5", 32))[0].blocks)) == 3
    deeper = nested(tmp_path / "b.h5", 33)
    for key in ("", "/".join(["g"] * 33 + ["images"])):
        with pytest.raises(RefusedFileError, match="groups at most 32 deep"):
            read_array(deeper, key=key)


def test_an_hdf5_file_whose_groups_hold_each_other_is_refused(tmp_path):
    """Hard links may make a circle: two in each group are 2^32 ways down."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("g")
        group["one"] = group["two"] = group
    with pytest.raises(RefusedFileError, match="at most"):
        read_array(tmp_path / "a.h5")


@pytest.mark.parametrize("shape", [(2, 25_000, 25_000), (1 << 40, 8, 8)])
def test_an_npz_file_holds_what_it_claims(tmp_path, shape):
    path = tmp_path / "images.npz"
    npz_of(path, shape, 1 << 20)
    with pytest.raises(RefusedFileError, match=r"images of at most|bytes of images in so small"):
        read_array(path)


def test_what_deflate_packs_best_is_read(tmp_path):
    path = tmp_path / "images.npz"
    np.savez_compressed(path, images=np.zeros((2000, 64, 64), np.uint8))
    assert sum(len(block) for block in read_array(path)[0].blocks) == 2000
