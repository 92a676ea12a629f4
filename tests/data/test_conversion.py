"""Arrays, tensors and Pillow images of any kind become the same pixels, or one sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

from isavae.data import ImageDataset
from isavae.data.own.open import open_array

BYTES = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 9), dtype=np.uint8)
TENSOR = torch.from_numpy(BYTES / 255)


@pytest.mark.parametrize("read", [ImageDataset.from_arrays, open_array])
@pytest.mark.parametrize(
    "images",
    [
        np.asfortranarray(BYTES),
        (BYTES / 255).astype(">f4"),
        np.ma.masked_array(BYTES, np.zeros(BYTES.shape, bool)),
        TENSOR.contiguous(memory_format=torch.channels_last),
        TENSOR.clone().requires_grad_(),
        TENSOR.bfloat16(),
        TENSOR.to_sparse(),
    ],
    ids="fortran big-endian unmasked channels-last gradient bfloat16 sparse".split(),
)
def test_every_kind_of_array_gives_its_values(read, images):
    found = read(images).batch(slice(None))
    tolerance = 1 / 255 if getattr(images, "dtype", None) == torch.bfloat16 else 0.6 / 255
    np.testing.assert_allclose(found, BYTES / 255, atol=tolerance)


@pytest.mark.parametrize("read", [ImageDataset.from_arrays, open_array])
def test_masked_values_are_refused(read):
    with pytest.raises(ValueError, match="some are masked"):
        read(np.ma.masked_array(BYTES, BYTES < 50))


def test_palettes_and_inks_of_pillow_images_become_colours():
    colours = [Image.new("RGB", (9, 8), (200, 30, shade)) for shade in (0, 90)]
    expected = ImageDataset.from_torch(colours).batch(slice(None))
    for mode in ("P", "CMYK"):
        given = [image.convert(mode, palette=Image.Palette.ADAPTIVE) for image in colours]
        found = ImageDataset.from_torch(given)
        np.testing.assert_allclose(found.batch(slice(None)), expected, atol=2 / 255)
        assert found.shape == (3, 8, 9)
