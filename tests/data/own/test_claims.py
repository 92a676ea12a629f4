"""Small files that would take hours or gigabytes: refused before a decoder believes them."""

import io
import json
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isavae.data.own import image_claims
from isavae.data.own.arrays import read_array
from isavae.data.own.decoding import decode
from isavae.data.own.image_file import UnreadableImageError, open_image
from isavae.data.safe_reading import RefusedFileError

h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'isavae[data]'")
tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'isavae[data]'")
GREY = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)


def jpeg(n_more: int, tail: bytes = b"") -> bytes:
    """A progressive JPEG file whose last scan is repeated."""
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * n_more + content[-2:] + tail


def test_a_jpeg_file_of_many_scans_is_refused():
    decode(jpeg(0, tail=b"\xff\xda" * 500), None, None, 1)  # what stands behind it does not count
    decode(jpeg(image_claims.MOST_SCANS - 10), None, None, 1)
    with pytest.raises(UnreadableImageError, match="more than 100 scans"):
        decode(jpeg(image_claims.MOST_SCANS), None, None, 1)


def jpeg2000(side: int, precinct: int, coded: dict | None = None) -> bytes:
    """A JPEG 2000 file that claims another size of the image, of tiles and of precincts."""
    file = io.BytesIO()
    how = {"no_jp2": True, "num_resolutions": 1, "precinct_size": (64, 64)} | (coded or {})
    Image.fromarray(GREY).save(file, "JPEG2000", **how)
    content = bytearray(file.getvalue())
    at = content.index(b"\xff\x51")
    content[at + 6 : at + 14] = content[at + 22 : at + 30] = struct.pack(">II", side, side)
    at = content.index(b"\xff\x52")
    content[at + 14] = 17 * precinct  # both powers of two
    return bytes(content)


def test_a_jpeg_2000_file_of_many_precincts_is_refused():
    decode(jpeg2000(64, 6), None, None, 1)
    with pytest.raises(UnreadableImageError, match="8,388,608 code blocks and precincts"):
        decode(jpeg2000(2048, 0), None, None, 1)
    with pytest.raises(UnreadableImageError, match="33,554,432 code blocks and precincts"):
        decode(boxed(jpeg2000(4096, 0)), None, None, 1)


def boxed(codestream: bytes) -> bytes:
    """A JP2 file around a codestream."""
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "JPEG2000")
    content = file.getvalue()
    return content[: content.index(b"\xff\x4f\xff\x51")] + codestream


def test_precincts_of_a_part_of_a_tile_count_too():
    content = jpeg2000(4096, 6)
    coding = content[content.index(b"\xff\x52") :][:15]
    data = content.index(b"\xff\x93")
    part = content.rindex(b"\xff\x90", 0, data)
    changed = content[:data] + coding[:14] + b"\0" + content[data:]
    size = struct.unpack(">I", content[part + 6 : part + 10])[0]
    size = struct.pack(">I", size + 15 if size else 0)
    with pytest.raises(UnreadableImageError, match="code blocks and precincts"):
        decode(changed[: part + 6] + size + changed[part + 10 :], None, None, 1)


@pytest.mark.parametrize(
    "how", [{}, {"tile_size": (32, 32)}, {"irreversible": True, "quality_layers": [20, 5]}]
)
@pytest.mark.parametrize("bare", [True, False])
def test_usual_jpeg_2000_files_are_read(how, bare):
    file = io.BytesIO()
    Image.fromarray(np.dstack([GREY] * 3)).save(file, "JPEG2000", no_jp2=bare, **how)
    assert decode(file.getvalue(), None, None, 3).pixels.shape == (3, 64, 64)


def tiff(tmp_path, description: str, dtype="f8", **how) -> str:
    path = tmp_path / "a.tif"
    plane = np.zeros((64, 64), dtype)
    tifffile.imwrite(path, plane, description=description, metadata=None, **how)
    return str(path)


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image '
    'ID="Image:0"><Pixels ID="P" DimensionOrder="XYZTC" Type="double" SizeX="64" SizeY="64" '
    'SizeZ="{z}" SizeT="2" SizeC="1"><TiffData {data}/></Pixels></Image></OME>'
)


@pytest.mark.parametrize(
    "description",
    [
        OME.format(z=600_000, data=""),
        OME.format(z=1, data='IFD="0" PlaneCount="2000000"'),
        json.dumps({"shape": [2_000_000, 64, 64]}),
        json.dumps({"shape": [2_000_000, 64, 64], "truncated": True}),
    ],
)
def test_planes_that_are_not_there_are_refused(tmp_path, description):
    with (
        pytest.raises(UnreadableImageError, match=r"planes, at most|ends before its last value"),
        open_image(tiff(tmp_path, description)),
    ):
        pass


def test_a_long_description_is_searched_in_linear_time(tmp_path):
    path = tiff(tmp_path, "ImageJ=" * 20_000 + "<OME " * 20_000, "u1")
    begin = time.process_time()
    with open_image(path) as image:
        assert image.size == (64, 64)
    assert time.process_time() - begin < 2


def patched(tmp_path, tags: dict[int, int], **how) -> bytes:
    """A TIFF file of which tags have other values."""
    content = bytearray(Path(tiff(tmp_path, "", **how)).read_bytes())
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        places = {tag.code: (tag.valueoffset, tag.dtype) for tag in file.pages[0].tags}
    for code, value in tags.items():
        at, kind = places[code]
        n = 2 if kind == 3 else 4
        content[at : at + n] = value.to_bytes(n, "little")
    return bytes(content)


def test_the_size_of_tiles_counts(tmp_path):
    tags = {322: 20_000, 323: 20_000}
    how = {"tile": (64, 64), "compression": "zlib"}
    with pytest.raises(UnreadableImageError, match="more pixels than are safe"):
        decode(patched(tmp_path, tags, **how), None, None, 1)
    grey = tmp_path / "grey.tif"
    tifffile.imwrite(grey, GREY, tile=(64, 64), compression="zlib", metadata=None)
    content = bytearray(grey.read_bytes())
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        for code in tags:
            tag = file.pages[0].tags[code]
            content[tag.valueoffset : tag.valueoffset + 2] = (20_000).to_bytes(2, "little")
    with pytest.raises(UnreadableImageError, match="more pixels than are safe"):
        decode(bytes(content), None, None, 1)


def test_strips_that_all_reach_over_the_file_are_refused(tmp_path):
    path = tiff(tmp_path, "", rowsperstrip=1, compression="zlib")
    with tifffile.TiffFile(path) as file:
        tag, offsets = file.pages[0].tags[279], file.pages[0].dataoffsets
        kind, at = ("H", 2) if tag.dtype == 3 else ("I", 4), tag.valueoffset
    content = bytearray(Path(path).read_bytes() + bytes(60_000))
    assert len(offsets) == 64
    content[at : at + 64 * kind[1]] = struct.pack(f"<64{kind[0]}", *[50_000] * 64)
    with pytest.raises(UnreadableImageError, match="more values than it claims"):
        decode(bytes(content), None, None, 1)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_npz_file_is_packed_by_deflate_or_not(tmp_path, method):
    file = io.BytesIO()
    np.save(file, np.zeros((4, 8, 8), np.uint8))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("images.npy", file.getvalue())
    with pytest.raises(RefusedFileError, match=r"packed by deflate, or not, but has (bzip2|lzma)"):
        read_array(tmp_path / "a.npz")


@pytest.mark.parametrize("names", [["a.txt"], ["images.npy/"], ["a.txt", "b/"]])
def test_what_is_no_array_in_an_npz_file_is_not_counted(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    with pytest.raises(RefusedFileError, match=r"must have one array, .*, but has \[\]"):
        read_array(tmp_path / "a.npz")


def test_an_array_of_no_values_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = h5py.Empty("u1")
    with pytest.raises(RefusedFileError, match="must have values in 'images', but has none"):
        read_array(tmp_path / "a.h5")


def hdf5(path, data: bytes, **how):
    with h5py.File(path, "w") as file:
        array = file.create_dataset("images", (100, 8, 8), "u1", chunks=(100, 8, 8), **how)
        if data:
            array.id.write_direct_chunk((0, 0, 0), data)
        else:
            array[:] = 1
    return path


def test_a_chunk_that_unpacks_to_more_than_it_claims_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("isavae.data.safe_reading.MOST_UNPACKED", 1 << 10)
    good, bad = zlib.compress(bytes(6400)), zlib.compress(bytes(7000))
    stream, _ = read_array(hdf5(tmp_path / "a.h5", good, compression="gzip"))
    assert sum(map(len, stream.blocks)) == 100
    stream, _ = read_array(hdf5(tmp_path / "b.h5", b"", compression="gzip", fletcher32=True))
    with pytest.raises(RefusedFileError, match=r"chunks of 6,400 bytes, but has one that holds"):
        read_array(hdf5(tmp_path / "c.h5", bad, compression="gzip"))
    with pytest.raises(RefusedFileError, match="smaller chunks, packed by lzf"):
        read_array(hdf5(tmp_path / "d.h5", b"", compression="lzf"))


def test_what_does_not_get_shorter_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("isavae.data.safe_reading.MOST_UNPACKED", 1 << 10)
    noise = np.random.default_rng(0).integers(0, 256, (100, 8, 8), dtype=np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=noise, chunks=(100, 8, 8), compression="gzip")
    stream, _ = read_array(tmp_path / "a.h5")
    np.testing.assert_array_equal(np.concatenate([*stream.blocks])[:, 0], noise)


def test_arrays_packed_twice_or_in_other_ways_are_refused(tmp_path):
    with h5py.File(tmp_path / "twice.h5", "w") as file:
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((100, 8, 8))
        how.set_deflate(9)
        how.set_deflate(9)
        space = h5py.h5s.create_simple((100, 8, 8))
        h5py.h5d.create(file.id, b"images", h5py.h5t.NATIVE_UINT8, space, how)
    hdf5(tmp_path / "offset.h5", b"", scaleoffset=4)
    for name in ("twice.h5", "offset.h5"):
        with pytest.raises(RefusedFileError, match="packed once, by gzip or lzf, but has the fil"):
            read_array(tmp_path / name)
