"""ImageDataset: what goes in comes out; minibatches are a pure function of (seed, step, size)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isavae.data import FactorGrid, ImageDataset, load
from isavae.data.order import BLOCKS_PER_WINDOW, epoch_order


def some_images(n=30, c=3, h=5, w=7, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, c, h, w), dtype=np.uint8)


def numbered(n, block=1):
    """A data set whose image k is k in binary."""
    bits = (np.arange(n)[:, None] >> np.arange(16)) & 1
    data = ImageDataset(bits.astype(np.uint8).reshape(n, 4, 4))
    return ImageDataset.from_stored(data.name, data.stored, data.shape, shuffle_block=block)


def numbers(batch):
    return (batch.flatten(1).long() << torch.arange(16)).sum(1).tolist()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7), (1, 3, 3)])
def test_binary_images_come_back_bit_for_bit(shape):
    images = np.random.default_rng(0).integers(0, 2, (20, *shape), dtype=np.uint8)
    for given_as in (images, images.astype(bool), images.astype(np.float32)):
        data = ImageDataset(given_as)
        assert data.is_binary
        assert data.stored.nbytes == 20 * -(-np.prod(shape) // 8)
        assert np.array_equal(data.batch(range(20)).numpy(), images)


def test_bytes_and_floats_come_back_as_floats():
    images = some_images()
    assert torch.equal(
        ImageDataset(images).batch(slice(None)), torch.from_numpy(images) * (1 / 255)
    )
    floats = images / np.float32(255)
    again = ImageDataset(torch.from_numpy(floats)).batch([4, 2])
    assert np.abs(again.numpy() - floats[[4, 2]]).max() < 1e-6


def test_grey_images_need_no_channel_axis():
    assert ImageDataset(some_images()[:, 0]).shape == (1, 5, 7)


@pytest.mark.parametrize("block", [1, 4])
def test_an_epoch_visits_every_image_at_most_once_and_the_next_one_in_another_order(block):
    data = numbered(103, block)
    assert data.steps_per_epoch(10) == 10
    batches = [numbers(data.minibatch(3, step, 10)) for step in range(20)]
    epochs = [[n for batch in part for n in batch] for part in (batches[:10], batches[10:])]
    for visited in epochs:
        assert len(set(visited)) == 100
        assert set(visited) <= set(range(103))
    assert epochs[0] != epochs[1]


def test_minibatches_depend_on_seed_and_step_alone():
    data = numbered(50)
    first = data.minibatch(1, 7, 16)
    for other in (2, 3, 4, 5):  # evaluations and other runs in between must not matter
        data.minibatch(other, 0, 16)
    epoch_order.cache_clear()
    assert torch.equal(first, data.minibatch(1, 7, 16))
    assert not torch.equal(first, data.minibatch(2, 7, 16))
    # these numbers must never change: a run resumed under a later version repeats its batches
    assert numbers(data.minibatch(0, 0, 5)) == [0, 31, 8, 19, 26]


def test_a_shuffle_is_uniform():
    """Chi-square of where image 0 lands, false alarm 1e-4."""
    places = [int(np.flatnonzero(epoch_order(10, seed, 0) == 0)[0]) for seed in range(5000)]
    counts = np.bincount(places, minlength=10)
    assert ((counts - 500) ** 2 / 500).sum() < 33.7  # chi2.ppf(1 - 1e-4, 9)


@settings(max_examples=30)
@given(st.integers(1, 3000), st.integers(1, 7), st.integers(0, 3))
def test_block_orders_are_permutations(n, block, seed):
    assert np.array_equal(np.sort(epoch_order(n, seed, 0, block)), np.arange(n))


def test_block_orders_read_one_window_after_the_other():
    n, block = 40_000, 8
    window = block * BLOCKS_PER_WINDOW
    order = epoch_order(n, 0, 0, block)
    runs = [set((order[k : k + window] // block).tolist()) for k in range(0, n, window)]
    assert all(len(one) <= BLOCKS_PER_WINDOW for one in runs)
    assert sum(map(len, runs)) == n // block
    assert np.abs(np.diff(order[:window])).mean() > n / 4  # a window is spread over all the data


def test_selections_and_samples_keep_image_and_factors_together():
    grid = FactorGrid(("a", "b"), (6, 5))
    data = ImageDataset(some_images(), grid)
    part = data.select(a=[4, 1]).select(b=slice(1, None, 3))
    assert [grid.index((a, b)) for a in (4, 1) for b in (1, 4)] == [21, 24, 6, 9]
    assert torch.equal(part.batch(range(4)), data.batch([21, 24, 6, 9]))
    assert part.grid.sizes == (2, 2)
    some = data.sample(7, seed=1)
    for k in range(7):
        assert torch.equal(some.batch([k])[0], data.batch([grid.index(some.grid.values(k))])[0])
    assert torch.equal(some.batch(range(7)), data.sample(7, seed=1).batch(range(7)))


def test_a_split_parts_the_images():
    train, held_out = numbered(40).split(seed=0, held_out=0.25)
    parts = [set(numbers(part.batch(range(len(part))))) for part in (train, held_out)]
    assert (len(parts[0]), len(parts[1])) == (30, 10)
    assert parts[0] | parts[1] == set(range(40))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: numbered(5).minibatch(0, 0, 6), "batch size must be in 1..5"),
        (lambda: numbered(5).minibatch(0, 0, 0), "but is 0"),
        (lambda: numbered(5).sample(6), "1..5"),
        (lambda: numbered(5).select(shape=1), "no factors"),
        (lambda: numbered(5).take([]), "no image is chosen"),
        (lambda: numbered(5).split(0, 0.0), "Both parts"),
        (lambda: ImageDataset(np.zeros((0, 4, 4))), "not be empty"),
        (lambda: ImageDataset(np.zeros((4, 4))), r"shape \(4, 4\)"),
        (lambda: ImageDataset(np.full((2, 4, 4), 255.0)), "divide them by 255"),
        (lambda: ImageDataset(np.full((2, 4, 4), np.nan)), "replace such values"),
        (lambda: ImageDataset(np.zeros((2, 8, 8, 3))), "channels first"),
        (lambda: ImageDataset(np.zeros((2, 4, 4), np.int64)), "int64"),
        (
            lambda: ImageDataset(some_images(), FactorGrid(("a",), (3,))),
            "one row per image",
        ),
    ],
)
def test_bad_input_gets_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_torch_data_set_is_read_with_its_labels():
    images = torch.from_numpy(some_images(n=6)).float() / 255
    data = ImageDataset.from_torch(torch.utils.data.TensorDataset(images))
    assert (data.batch(range(6)) - images).abs().max() < 1e-6
    pairs = [(image, label) for image, label in zip(images, (7, 3, 7, 3, 3, 9), strict=True)]
    grid = ImageDataset.from_torch(pairs).grid
    assert grid.column("label").tolist() == [1, 0, 1, 0, 0, 2]
    assert grid.categories == {"label": (3, 7, 9)}
    with pytest.raises(ValueError, match="one size"):
        ImageDataset.from_torch([images[0], images[0, :, :2]])


def test_items_are_images_for_loops_loaders_and_plots():
    """What a newcomer types first."""
    data = ImageDataset(some_images(n=10))
    assert data[0].dtype == torch.float32
    assert data[0].shape == data.shape
    assert torch.equal(torch.stack(list(data)), data.batch(slice(None)))
    assert torch.equal(data[np.int64(-1)], data[9])
    for index in (10, -11):
        with pytest.raises(IndexError, match=r"in -10\.\.9"):
            data[index]
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
    assert [batch.shape[0] for batch in loader] == [4, 4, 2]
    train, held_out = torch.utils.data.random_split(data, [0.8, 0.2])
    assert (len(train), len(held_out)) == (8, 2)
    assert train[0].shape == data.shape
    first, *_ = data
    assert torch.equal(first, data[0])


def test_a_named_data_set_feeds_a_loader():
    data = load("dsprites[shape=heart, scale=0, orientation=0]")
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=32)))
    assert torch.equal(batch, data.batch(range(32)))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # torch's
def test_an_image_can_be_shown():
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib: make setup")
    data = ImageDataset(some_images(n=2))
    figure, axes = pyplot.subplots()
    shown = axes.imshow(data[0][0])
    assert np.array_equal(shown.get_array(), data[0][0].numpy())
    pyplot.close(figure)


@pytest.mark.parametrize(
    "make", [int, np.int64, torch.tensor, lambda k: torch.tensor([k]), lambda k: np.array(k)]
)
def test_labels_of_a_torch_data_set_of_any_kind_are_kept(make):
    images = torch.from_numpy(some_images(n=3)).float() / 255
    pairs = [(image, make(label)) for image, label in zip(images, (7, 3, 7), strict=True)]
    grid = ImageDataset.from_torch(pairs).grid
    assert grid.column("label").tolist() == [1, 0, 1]
    assert grid.categories == {"label": (3, 7)}


def test_a_tensor_data_set_keeps_its_labels():
    images = torch.rand(4, 1, 5, 7)
    dataset = torch.utils.data.TensorDataset(images, torch.tensor([1, 0, 1, 1]))
    data = ImageDataset.from_torch(dataset)
    assert data.grid.column("label").tolist() == [1, 0, 1, 1]
    assert len(data.select(label=1)) == 3


@pytest.mark.parametrize(
    ("labels", "factors"),
    [
        ([0.5, 2.0, 0.5], {"label": (0.5, 2)}),
        (["cat", "dog", "cat"], {"label": ("cat", "dog")}),
        ([True, False, True], {"label": ("False", "True")}),
        ([-1, 3, -1], {"label": (-1, 3)}),
        (
            [np.array([1, 5]), np.array([0, 5]), np.array([1, 5])],
            {"label_0": (0, 1), "label_1": (5,)},
        ),
        (list(torch.tensor([[2.5], [1], [2.5]])), {"label": (1, 2.5)}),
    ],
)
@pytest.mark.parametrize("as_mapping", [False, True])
def test_labels_of_every_kind_become_factors(labels, factors, as_mapping):
    pairs = [(torch.rand(1, 4, 4), label) for label in labels]
    items = [{"img": image, "label": label} for image, label in pairs] if as_mapping else pairs
    data = ImageDataset.from_torch(items)
    assert data.grid.categories == factors
    assert data.grid.column(0).tolist() in ([0, 1, 0], [1, 0, 1])


def test_items_may_be_mappings_of_pillow_images():
    pixels = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
    items = [
        {"age": 30 + k, "image": Image.fromarray(image), "who": None}
        for k, image in enumerate(pixels)
    ]
    data = ImageDataset.from_torch(items)
    assert np.array_equal(data.stored, pixels.transpose(0, 3, 1, 2))
    assert data.grid.categories == {"age": (30, 31)}
    assert data.grid.column("who").tolist() == [-1, -1]
    with pytest.raises(ValueError, match=r"an image under one of image,.*but have .'photo'"):
        ImageDataset.from_torch([{"photo": pixels[0]}])
    with pytest.raises(ValueError, match="the same entries"):
        ImageDataset.from_torch([(pixels[0], 1), pixels[0]])


@pytest.mark.parametrize(
    ("entries", "left_out", "has_labels"),
    [
        ((2, torch.rand(3, 3)), "entry_2", True),
        (([[1], [2, 3]],), "label", False),
        ((object(),), "label", False),
        ((torch.rand(65),), "label", False),
    ],
)
def test_other_entries_of_items_are_left_out_in_words(entries, left_out, has_labels):
    items = [(torch.rand(1, 4, 4), *entries) for _ in range(3)]
    with pytest.warns(UserWarning, match=f"become factors; {left_out} are left out"):
        data = ImageDataset.from_torch(items)
    assert (data.grid is not None) == has_labels


def test_a_data_set_does_not_change():
    data = ImageDataset(np.zeros((3, 8, 8)), name="black")
    with pytest.raises(AttributeError):
        data.name = "white"
    assert (data.name, data.with_changes(name="white").name) == ("black", "white")
