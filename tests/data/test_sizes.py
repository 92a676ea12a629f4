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
