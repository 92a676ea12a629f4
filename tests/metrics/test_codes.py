"""Codes from anywhere: arrays, tables with gaps, partial grids."""

import numpy as np
import pytest
import torch

from isavae.data import FactorGrid
from isavae.metrics import Codes
from tests import hand_made


def test_from_arrays_takes_text_numbers_and_unknown_values():
    codes = Codes.from_arrays(
        np.arange(10).reshape(5, 2),
        factors={
            "kind": np.array(["b", "a", None, "b", "c"], dtype=object),
            "size": [0.5, float("nan"), 1.5, 1.5, 0.5],
            "count": [0, -1, 0, 9, 9],
        },
    )
    assert codes.mean.dtype == torch.float32
    assert codes.factor("kind").labels.tolist() == [1, 0, -1, 1, 2]
    assert codes.factor("kind").counts.tolist() == [1, 2, 1]
    assert codes.factor("size").labels.tolist() == [0, -1, 1, 1, 0]
    assert codes.factor("count").labels.tolist() == [0, -1, 0, 1, 1]
    assert codes.factor("count").known.tolist() == [0, 2, 3, 4]
    assert codes.grid.ordered == ("size", "count")


def test_labels_are_those_of_the_grid():
    codes = hand_made.perfect()
    for k, name in enumerate(codes.grid.names):
        assert codes.factor(name).labels.tolist() == codes.grid.labels_array()[:, k].tolist()


def test_classes_that_do_not_occur_are_left_out():
    grid = FactorGrid(("v",), (6,), labels=np.array([[5], [1], [5], [-1]]))
    factor = Codes(torch.zeros(4, 1), None, grid).factor("v")
    assert factor.labels.tolist() == [1, 0, 1, -1]
    assert factor.weights.tolist() == pytest.approx([1 / 3, 2 / 3])


def test_a_factor_without_any_label_has_no_classes():
    grid = FactorGrid(("v",), (2,), labels=np.array([[-1], [-1]]))
    factor = Codes(torch.zeros(2, 1), None, grid).factor("v")
    assert factor.labels.tolist() == [-1, -1]
    assert factor.counts.tolist() == []


def test_samples_have_the_moments_of_the_posterior_and_follow_the_seed():
    codes = Codes(torch.full((100_000, 1), 2.0), torch.full((100_000, 1), -1.0))
    draws = codes.sample(torch.Generator().manual_seed(3))
    assert draws.mean().item() == pytest.approx(2.0, abs=0.006)
    assert draws.std().item() == pytest.approx(np.exp(-1), abs=0.004)
    assert torch.equal(draws, codes.sample(torch.Generator().manual_seed(3)))


def test_bad_codes_are_refused():
    with pytest.raises(ValueError, match="6 rows for 5 codes"):
        Codes(torch.zeros(5, 2), None, FactorGrid(("a",), (6,)))
    with pytest.raises(ValueError, match=r"`log_std` must have the shape"):
        Codes.from_arrays(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="`mean` is not in row 1"):
        Codes.from_arrays([[0.0], [float("nan")]])
    with pytest.raises(ValueError, match="one value an image"):
        Codes.from_arrays(np.zeros((2, 1)), factors={"a": [1, 2], "b": [1, 2, 3]})
