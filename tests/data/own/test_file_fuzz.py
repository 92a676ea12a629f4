"""Images of any type, channels, axes, range and container: the stated rule, or one sentence."""

import tempfile
import warnings
from pathlib import Path
from struct import error as StructError

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isavae.data.own.open import open_array, open_path
from tests.data.own.test_value_fuzz import DTYPES, SPANS, expected

tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'isavae[data]'")

# Containers, the types that can be written to them, and the numbers of channels.
ANY = [*range(1, 7)]
CONTAINERS = {
    "png": (["?", "u1", "u2"], [1, 2, 3, 4]),
    "webp": (["u1"], [3, 4]),
    "gif": (["u1"], [1]),
    "bmp": (["u1"], [1, 3]),
    "tga": (["u1"], [1, 3, 4]),
    "pillow.tif": (["?", "u1", "u2", "i4", "f4"], [1, 2, 3, 4]),
    "contig.tif": (DTYPES, ANY),
    "planar.tif": (DTYPES, ANY),
    "zlib.tif": (DTYPES, ANY),
    "imagej.tif": (["u1", "u2", "f4"], ANY),
    "ome.tif": (DTYPES, ANY),
    "npy": (DTYPES, ANY),
    "npz": (DTYPES, ANY),
    "h5": (DTYPES, ANY),
    "memory": (DTYPES, ANY),
}
RANGES = ["auto", "auto", "dtype", "0..4095", "-1..1", "0.25..0.75"]


@st.composite
def cases(draw):
    """A container, images (n, channels, height, width), and the text of a range."""
    container = draw(st.sampled_from([*CONTAINERS]))
    dtypes, channels = CONTAINERS[container]
    dtype, n = np.dtype(draw(st.sampled_from(dtypes))), draw(st.sampled_from(channels))
    shape = (draw(st.integers(1, 3)), n, draw(st.integers(6, 9)), draw(st.integers(6, 9)))
    low, high = draw(st.sampled_from(SPANS))
    random = np.random.default_rng(draw(st.integers(0, 99))).random(shape)
    values = low + (high - low) * random
    text = draw(st.sampled_from(RANGES))
    if dtype.kind == "b":
        return container, values > 0.5, text
    if dtype.kind == "f":
        values = values * draw(st.sampled_from([1.0, 255.0, 1e4]))
        if draw(st.integers(0, 9)) == 0:
            values.flat[0] = np.nan
        return container, values.astype(dtype), text
    limits = np.iinfo(dtype)
    top = min(limits.max, 2**52)
    return container, np.clip(values * top, limits.min, top).astype(dtype), text


def save(path, image, container):
    """One image (channels, height, width)."""
    last = np.moveaxis(image, 0, -1)
    if container.endswith(".tif") and container != "pillow.tif":
        order = ">" if image.dtype.byteorder == ">" else "<"
        how = {"photometric": "minisblack", "metadata": None, "byteorder": order}
        kind = container.split(".")[0]
        if kind in ("imagej", "ome"):
            how["metadata"] = {"axes": "CYX"}
            tifffile.imwrite(path, image, **how, **{kind: True})
        elif len(image) == 1:
            tifffile.imwrite(path, image[0], **how)
        else:
            planes, name = (image, "separate") if kind == "planar" else (last, "contig")
            packed = {"compression": "zlib", "predictor": image.dtype.kind != "b"}
            how |= packed if kind == "zlib" else {}
            tifffile.imwrite(path, planes, planarconfig=name, **how)
        return
    lossless = {"lossless": True, "exact": True} if container == "webp" else {}
    Image.fromarray(last[..., 0] if len(image) == 1 else last).save(path, **lossless)


def write(folder, images, container):
    if container in ("npy", "npz", "h5"):
        path = Path(folder, f"images.{container}")
        if container == "h5":
            with h5py.File(path, "w") as file:
                file["any"] = images
        else:
            (np.save if container == "npy" else np.savez)(path, images)
        return path
    path = Path(folder, "images")
    path.mkdir()
    for k, image in enumerate(images):
        save(path / f"{k}.{container.rpartition('.')[2]}", image, container)
    return path


def rule(container, images, text):
    """The rule of docs/data.md; None for a refusal."""
    is_file = container not in ("npy", "npz", "h5", "memory")
    # In image files one bit is black and white, whatever the range; arrays are covered by another.
    if images.dtype.kind == "b" and is_file:
        images = images.astype(np.uint8) * np.uint8(255)
    has_alpha = images.shape[1] in (2, 4) and container in ("png", "webp", "tga", "pillow.tif")
    colours = images[:, :-1] if has_alpha else images
    if images.dtype == np.uint8 and is_file:
        low, high = (0, 255) if text in ("auto", "dtype") else map(float, text.split(".."))
        right = ((colours.astype(float) - low) / (high - low)).clip(0, 1)
    else:
        right = expected(colours, "chw", text)
    if has_alpha and right is not None:
        alpha = images[:, -1:] / 255
        right = 1 - alpha * (1 - right)
    return right


def without_colour(right):
    """The mean of nearly equal channels of a picture that is read as grey."""
    return right.mean(1, keepdims=True)


@given(case=cases())
@settings(max_examples=100, deadline=None)
def test_pixels_follow_the_rule_or_are_refused(case):
    container, images, text = case
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISAVAE_CACHE", str(Path(folder, "cache")))
        right = rule(container, images, text)
        try:
            if container == "memory":
                if text != "auto":
                    return
                data = open_array(images, axes="chw")
            else:
                try:
                    path = write(folder, images, container)
                except (
                    ValueError,
                    TypeError,
                    OSError,
                    KeyError,
                    StructError,
                    tifffile.OmeXmlError,
                ):
                    return  # the container cannot hold this
                axes = "" if path.is_dir() else "chw"
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    data = open_path(path, axes=axes, range=text)
        except ValueError as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert "\n" not in refusal
            assert right is None or is_packed(container, images), refusal
            return
        found = data.batch(range(len(data))).numpy()
        if right is None:  # images with NaN are left out by name
            return
        assert len(found) == len(right)
        if found.shape[1] == 1 and right.shape[1] == 3:
            assert (right.max(1) - right.min(1)).max() <= 10 / 255
            right = without_colour(right)
            np.testing.assert_allclose(found, right, rtol=0, atol=10 / 255)
        else:
            np.testing.assert_allclose(found, right, rtol=0, atol=1.01 / 255)


def is_packed(container, images):
    """Whether several channels of one bit share their bytes, which is refused."""
    is_bits = images.dtype.kind == "b" and images.shape[1] > 1
    return is_bits and container in ("contig.tif", "zlib.tif")
