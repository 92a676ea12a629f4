"""Arrays of any type, axes, range and container: the pixels of the stated rule, or a refusal."""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isavae.data.own.arrays import AXES
from isavae.data.own.open import open_path

DTYPES = ["?", "u1", "u2", ">u2", "u4", "i1", "i2", "i4", "i8", "f2", "f4", ">f4", "f8"]
# Smallest and largest value, as shares of what the type holds, or of 1e4 for floats.
SPANS = [(0, 1), (0, 0.6), (0, 0.06), (-1, 1), (0.4, 0.41), (0, 0), (0, 1e-4)]


@st.composite
def arrays(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    channels = draw(st.integers(1, 5))
    axes = draw(st.sampled_from([*AXES]))
    n, height, width = draw(st.tuples(st.integers(1, 4), st.integers(6, 9), st.integers(6, 9)))
    shape = {
        "hw": (n, height, width),
        "hwc": (n, height, width, channels),
        "chw": (n, channels, height, width),
    }[axes]
    low, high = draw(st.sampled_from(SPANS))
    random = np.random.default_rng(draw(st.integers(0, 99))).random(shape)
    values = low + (high - low) * random
    if dtype.kind == "b":
        return values > 0.5, axes
    if dtype.kind == "f":
        scale = draw(st.sampled_from([1.0, 255.0, 1e4]))
        values = values * scale
        if draw(st.integers(0, 9)) == 0:
            values.flat[0] = np.nan
        return values.astype(dtype), axes
    limits = np.iinfo(dtype)
    top = min(limits.max, 2**52)
    return np.clip(values * top, limits.min, top).astype(dtype), axes


def expected(stored, axes, text):
    """The rule of docs/data.md, written down again; None for a refusal."""
    values = stored.astype(np.float64)
    if not np.isfinite(values).all():
        return None
    values = {"hw": values[:, None] if values.ndim == 3 else values}.get(
        axes, np.moveaxis(values, -1, 1) if axes == "hwc" else values
    )
    if stored.dtype.kind == "b":
        return values
    low, high = values.min(), values.max()
    if text == "auto":
        if ((values == 0) | (values == 1)).all():
            return values
        if stored.dtype == np.uint8:
            low, high = 0, 255
        else:
            full = [(0, 1), (-1, 1), *((0, 2**bits - 1) for bits in range(8, 17))]
            fits = [
                (a, b)
                for a, b in full
                if a - 1e-5 * (b - a) <= low
                and high <= b + 1e-5 * (b - a)
                and high - low >= (b - a) / 4
            ]
            low, high = fits[0] if fits else (low, high if high > low else low + 1)
    elif text == "dtype":
        limits = (0, 1) if stored.dtype.kind == "f" else np.iinfo(stored.dtype)
        low, high = limits if isinstance(limits, tuple) else (limits.min, limits.max)
    else:
        low, high = map(float, text.split(".."))
    return ((values - low) / (float(high) - float(low))).clip(0, 1)


@given(
    case=arrays(),
    text=st.sampled_from(["auto", "auto", "dtype", "0..4095", "-1..1", "0.25..0.75"]),
    container=st.sampled_from(["npy", "npz", "h5"]),
)
@settings(max_examples=150, deadline=None)
def test_pixels_follow_the_rule_or_are_refused(case, text, container):
    stored, axes = case
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISAVAE_CACHE", str(Path(folder, "cache")))
        path = Path(folder, f"images.{container}")
        if container == "npy":
            np.save(path, stored)
        elif container == "npz":
            np.savez(path, stored)
        else:
            with h5py.File(path, "w") as file:
                file["anything"] = stored
        right = expected(stored, axes, text)
        if right is None:
            with pytest.raises(ValueError, match="finite numbers"):
                open_path(path, axes=axes, range=text)
            return
        data = open_path(path, axes=axes, range=text)
        found = data.batch(range(len(data))).numpy()
        np.testing.assert_allclose(found, right, rtol=0, atol=1 / 255)
