"""Arrays, tensors and Pillow images of any kind become the same pixels, or one sentence."""

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from isavae.data import ImageDataset
from isavae.data.own.open import open_array
from isavae.estimator import ISAVAE
from isavae.fitting import read_training_images
from isavae.fitting.codes_table import encode_images
from isavae.runs import RunConfig, TrainedModel, build_model

BYTES = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 9), dtype=np.uint8)
TENSOR = torch.from_numpy(BYTES / 255)


@pytest.mark.parametrize("read", [ImageDataset, open_array])
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


@pytest.mark.parametrize("read", [ImageDataset, open_array])
def test_masked_values_are_refused(read):
    with pytest.raises(ValueError, match="some are masked"):
        read(np.ma.masked_array(BYTES, BYTES < 50))


def test_palettes_and_inks_of_pillow_images_become_colours():
    colours = [Image.new("RGB", (9, 8), (200, 30, shade)) for shade in (0, 90)]
    expected = ImageDataset.from_torch(colours).batch(slice(None))
    for mode, error in (("P", 2), ("CMYK", 2), ("YCbCr", 3), ("HSV", 3), ("LAB", 12)):
        given = [image.convert(mode, palette=Image.Palette.ADAPTIVE) for image in colours]
        found = ImageDataset.from_torch(given)
        np.testing.assert_allclose(found.batch(slice(None)), expected, atol=error / 255)
        assert found.shape == (3, 8, 9)


def objects(items):
    array = np.empty(len(items), object)
    for k, item in enumerate(items):
        array[k] = item
    return array


MANY = np.random.default_rng(1).integers(0, 256, (20, 8, 9, 3), dtype=np.uint8)
FIRST = MANY.transpose(0, 3, 1, 2)
PILLOW = [Image.fromarray(image) for image in MANY]
COLLECTIONS = {
    "Pillow": lambda: PILLOW,
    "generator": lambda: (image for image in PILLOW),
    "objects of Pillow": lambda: objects(PILLOW),
    "arrays": lambda: [*FIRST],
    "tensors": lambda: map(torch.from_numpy, FIRST),
    "objects": lambda: objects([*FIRST]),
    "object numbers": lambda: FIRST.astype(object),
    "series": lambda: pandas.Series(PILLOW),
}


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_collections_of_images_are_the_array_of_them(kind):
    images = COLLECTIONS[kind]
    np.testing.assert_array_equal(read_training_images(images()).images, FIRST)
    if kind == "object numbers":  # int64, which has no white of its own
        return
    found = ImageDataset(images())
    np.testing.assert_allclose(found.batch(slice(None)), FIRST / 255, atol=1e-6)
    config = RunConfig(prior="normal", n_latents=2, width=8)
    model = TrainedModel(build_model(config, (3, 8, 9)), config, (3, 8, 9))
    expected, _ = model.encode(FIRST.copy())
    np.testing.assert_array_equal(model.encode(images())[0], expected)
    table, _ = encode_images(model, images())
    np.testing.assert_allclose(table.to_numpy()[:, 1:3].astype(float), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_estimator_takes_collections_of_images():
    settings = {"latents": (2, 2), "width": 8, "max_iter": 2, "random_state": 0}
    expected = ISAVAE(**settings).fit(FIRST)
    for kind, images in COLLECTIONS.items():
        if kind != "object numbers":
            fitted = ISAVAE(**settings).fit(images())
            np.testing.assert_array_equal(fitted.transform(images()), expected.transform(FIRST))
    with pytest.raises(ValueError, match="1 sample"):
        ISAVAE(**settings).fit(PILLOW[:1])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            [FIRST[0], FIRST[1, :, :4]],
            r"of one size, mode and type, but there are uint8 \(3, 4, 9\)",
        ),
        ([FIRST[0], FIRST[1] / 255], "but there are float64"),
        ([PILLOW[0], PILLOW[1].convert("L")], "resize or convert them"),
        ([FIRST[0], None], "but there are NoneType"),
        (["a.png", "b.png"], "but the first of them is str: give the folder"),
        ([(FIRST[0], 1), (FIRST[1], 2)], "but the first of them is tuple"),
        ([[1, 2], [3]], "but the first of them is list"),
        ([], "not be empty"),
    ],
)
def test_what_is_no_collection_of_images_gets_a_sentence(images, message):
    with pytest.raises(ValueError, match=message):
        ImageDataset(images)


def test_collections_are_gathered_within_the_memory_limit(monkeypatch):
    monkeypatch.setenv("ISAVAE_MEMORY_LIMIT", "1000")
    with pytest.raises(ValueError, match="fit into 1,000 bytes, but the first 5 do not"):
        ImageDataset(image for image in FIRST)


def test_models_refuse_integers_without_a_white():
    config = RunConfig(prior="normal", n_latents=2, width=8)
    model = TrainedModel(build_model(config, (3, 8, 9)), config, (3, 8, 9))
    with pytest.raises(ValueError, match=r"floats in \[0, 1\] or uint8; got torch.uint16"):
        model.encode(FIRST.astype(np.uint16))


def test_clear_values_of_palettes_stay():
    image = Image.fromarray(MANY[0, ..., 0] % 4, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.info["transparency"] = 2
    found = ImageDataset.from_torch([image, image])
    assert found.shape == (4, 8, 9)
    np.testing.assert_array_equal(found[0][3], MANY[0, ..., 0] % 4 != 2)


@pytest.mark.parametrize(
    ("low", "high", "advice"),
    [
        (0, 255, "divide them by 255"),
        (-1, 1, "add 1 and halve them"),
        (-40, 900, "subtract the black"),
        (0, np.nan, "hold NaN or infinity: replace such values"),
    ],
)
def test_floats_elsewhere_are_refused_with_what_to_do(low, high, advice):
    images = np.linspace(low, high, 48).reshape(3, 4, 4)
    with pytest.raises(ValueError, match=f"must lie in \\[0, 1\\], but .*{advice}"):
        ImageDataset(images)


def test_floats_that_rounding_took_beyond_are_black_and_white():
    images = np.linspace(-1e-7, 1.0000001, 48).reshape(3, 4, 4)
    stored = ImageDataset(images).batch(slice(None))
    assert torch.allclose(
        stored.flatten(), torch.from_numpy(images).float().flatten(), atol=1 / 255
    )
    assert stored.min() == 0
    assert stored.max() == 1
