"""Images that live on a device are the same, batch by batch, as those read on the CPU."""

import numpy as np
import pytest
import torch

from isavae.data import ImageDataset
from isavae.data.minibatches import DeviceImages

KINDS = {"bits": 2, "bytes": 256}


def random_images(kind: str, n: int = 50) -> ImageDataset:
    values = np.random.default_rng(0).integers(0, KINDS[kind], (n, 2, 3, 5), np.uint8)
    return ImageDataset(values)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_those_of_the_data_set(kind):
    data = random_images(kind)
    there = DeviceImages(data.stored, data.shape, torch.device("cpu"))
    for step in range(20):
        for seed in (0, 1, 2):
            epoch, position = divmod(step, 50 // 16)
            found = there.minibatch(seed, epoch, slice(16 * position, 16 * position + 16))
            assert torch.equal(found, data.minibatch(seed, step, 16))


def test_images_that_fit_are_copied_once_and_only_those_of_the_data_set(monkeypatch):
    part, copied = random_images("bytes").take([4, 40, 2, 7]), []
    monkeypatch.setattr(
        "isavae.data.dataset.DeviceImages",
        lambda stored, *rest: copied.append(stored) or DeviceImages(stored, *rest),
    )
    for step in range(5):
        assert part.minibatch(0, step, 2, "meta").shape == (2, 2, 3, 5)
    assert len(copied) == 1
    np.testing.assert_array_equal(copied[0], part.stored[[4, 40, 2, 7]])


def test_images_that_do_not_fit_are_gathered_on_the_host(monkeypatch):
    data = random_images("bytes")
    monkeypatch.setattr("isavae.data.dataset.free_memory", lambda device: 2 * data.stored.size - 1)
    monkeypatch.setattr("isavae.data.dataset.DeviceImages", None)
    assert data.minibatch(0, 0, 16, "meta").device.type == "meta"
