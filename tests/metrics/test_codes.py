"""Codes from anywhere: arrays, tables with gaps, partial grids."""

import datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch

from isavae.data import FactorGrid
from isavae.data.factor_columns import as_grid
from isavae.metrics import Codes, evaluate, exact_information, mig
from tests import hand_made


def test_factors_take_text_numbers_and_unknown_values():
    codes = Codes(
        np.arange(10).reshape(5, 2),
        factors={
            "kind": np.array(["b", "a", None, "b", "c"], dtype=object),
            "size": [0.5, float("nan"), 1.5, 1.5, 0.5],
            "count": [0, -1, 0, 9, 9],
        },
        unknown=-1,
    )
    assert codes.mean.dtype == torch.float32
    assert codes.factor("kind").labels.tolist() == [1, 0, -1, 1, 2]
    assert codes.factor("kind").counts.tolist() == [1, 2, 1]
    assert codes.factor("size").labels.tolist() == [0, -1, 1, 1, 0]
    assert codes.factor("count").labels.tolist() == [0, -1, 0, 1, 1]
    assert codes.factor("count").known.tolist() == [0, 2, 3, 4]
    assert codes.grid.ordered == ("size", "count")


COLUMNS = {
    "kind": ["b", None, "a", "b"],
    "size": [2.5, 0.5, float("nan"), 0.5],
    "count": [10, 9, None, 9],
    "lit": [True, False, True, True],
}


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(COLUMNS, strict=False),
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS).convert_dtypes(),
        pd.DataFrame(COLUMNS).astype({"kind": "category"}),
    ],
    ids=["polars", "pandas", "pandas nullable", "pandas categories"],
)
def test_factors_may_be_a_data_frame(frame):
    codes = Codes(np.eye(4), factors=frame)
    labels = {name: codes.factor(name).labels.tolist() for name in codes.grid.names}
    assert labels == {
        "kind": [1, -1, 0, 1],
        "size": [1, 0, -1, 0],
        "count": [1, 0, -1, 0],
        "lit": [1, 0, 1, 1],
    }
    assert codes.grid.ordered == ("size", "count")
    assert codes.grid.categories["kind"] == ("a", "b")
    assert codes.grid.categories["count"] == (9, 10)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_means_and_stds_may_be_data_frames(frame):
    values = {"z1": [0.0, 1.0, 2.0], "z2": [3.0, 4.0, 5.0]}
    codes = Codes(frame(values), frame(values), frame({"a": [0, 1, 1]}))
    assert codes.mean.tolist() == codes.log_std.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert codes.factor_names() == ("a",)
    with pytest.raises(ValueError, match="`mean` must hold numbers"):
        Codes(frame({"name": ["x", "y"]}))


NAMES = ["a.png", "b.png", "c.png"]
LABELS = {"cls": [0, 1, 2]}


@pytest.mark.parametrize(
    "factors",
    [
        pd.DataFrame(LABELS, index=NAMES[::-1]),
        pd.DataFrame(LABELS, index=[*NAMES[:2], "d.png"]),
        pd.DataFrame(LABELS),
        {"cls": pd.Series(LABELS["cls"], index=NAMES[::-1])},
    ],
)
def test_labels_of_other_rows_are_refused(factors):
    """Rows are matched by their order: a table of pandas in another order got the wrong labels."""
    means = pd.DataFrame(np.eye(3), index=NAMES)
    with pytest.raises(ValueError, match=r"must have the same index, but have .*loc\[mean.index\]"):
        Codes(means, factors=factors)
    stds = pd.DataFrame(np.eye(3), index=NAMES[::-1])
    with pytest.raises(ValueError, match="`mean` and `log_std` must have the same index"):
        Codes(means, stds)


def test_labels_of_the_same_rows_or_without_an_index_are_taken():
    means = pd.DataFrame(np.eye(3), index=NAMES)
    same = pd.DataFrame(LABELS, index=NAMES)
    turned = same.iloc[::-1]
    for first, factors in [
        (means, same), (means, turned.loc[means.index]), (means, LABELS), (means.to_numpy(), same),
        (means.reset_index(drop=True), same.reset_index(drop=True)), (means, pl.DataFrame(LABELS)),
    ]:  # fmt: skip
        assert Codes(first, factors=factors).factor("cls").labels.tolist() == [0, 1, 2]


class ArrowTable:
    """What an Arrow table offers: `columns` are not names there."""

    column_names = tuple(COLUMNS)
    columns = ()

    def __getitem__(self, name):
        return type("Chunked", (), {"to_pylist": lambda self: COLUMNS[name]})()

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("a table is read column by column")


@pytest.mark.parametrize(
    "table",
    [
        ArrowTable(),
        COLUMNS,
        {name: pd.Series(values, dtype=object) for name, values in COLUMNS.items()},
        {name: pd.array(values).fillna(pd.NA) for name, values in COLUMNS.items()},
        {name: [pd.NA if v is None else v for v in values] for name, values in COLUMNS.items()},
        pd.DataFrame(COLUMNS).astype({"kind": "string"}),
        pl.DataFrame(COLUMNS, strict=False).with_columns(pl.col("kind").cast(pl.Categorical)),
        COLUMNS | {"kind": ["b", float("nan"), "a", "b"]},
        COLUMNS | {"kind": np.array(["b", "nan", "a", "b"])},
        COLUMNS | {"count": np.ma.masked_equal([10, 9, 0, 9], 0)},
    ],
)
def test_gaps_of_every_kind_are_unknown(table):
    codes = Codes(np.eye(4), factors=table)
    assert codes.factor("kind").labels.tolist() == [1, -1, 0, 1]
    assert codes.factor("size").labels.tolist() == [1, 0, -1, 0]
    assert codes.factor("count").labels.tolist() == [1, 0, -1, 0]
    assert codes.grid.categories["count"] == (9, 10)
    assert codes.grid.ordered == ("size", "count")


def test_negative_numbers_are_values_unless_they_are_called_unknown():
    for values in ([-2, -1, 3], np.array([-2, -1, 3]), torch.tensor([-2, -1, 3])):
        codes = Codes(np.eye(3), factors={"shift": values})
        assert codes.grid.categories == {"shift": (-2, -1, 3)}
        assert codes.factor("shift").labels.tolist() == [0, 1, 2]
        codes = Codes(np.eye(3), factors={"shift": values}, unknown=-1)
        assert codes.factor("shift").labels.tolist() == [0, -1, 1]
    codes = Codes(np.eye(2), factors={"byte": np.array([255, 1], np.uint8)}, unknown=-1)
    assert codes.factor("byte").labels.tolist() == [1, 0]
    codes = Codes(np.eye(2), factors={"kind": ["?", "cat"]}, unknown="?")
    assert codes.factor("kind").labels.tolist() == [-1, 0]


def test_factors_that_cannot_be_told_apart_are_refused():
    twice = pd.DataFrame([[0, 1], [1, 0]], columns=["a", "a"])
    with pytest.raises(ValueError, match="distinct names"):
        Codes(np.eye(2), factors=twice)
    with pytest.raises(ValueError, match="'dose' must be finite"):
        Codes(np.eye(2), factors={"dose": [1.0, float("inf")]})


def test_factors_may_be_a_matrix_of_classes():
    codes = Codes(torch.zeros(3, 1), factors=torch.tensor([[0, 7], [1, -1], [0, 5]]), unknown=-1)
    assert codes.grid.names == ("factor_0", "factor_1")
    assert codes.factor("factor_1").labels.tolist() == [1, -1, 0]
    sparse = scipy.sparse.csr_matrix(np.eye(4))
    with pytest.raises(ValueError, match=r"but are a csr_matrix: call its \.toarray\(\)\.$"):
        as_grid(sparse)
    with pytest.raises(ValueError, match=r"but are a str: read or convert it first\.$"):
        as_grid("factors.csv")
    with pytest.raises(ValueError, match="one column per factor"):
        Codes(torch.zeros(3, 1), factors=[0, 1, 0])


def test_codes_can_be_given_by_position_and_their_score_read_as_score():
    codes = hand_made.perfect()
    found = mig(Codes(codes.mean, codes.log_std, codes.grid), factors=None)
    assert found.score == found.value > 0.99


def test_extended_precision_becomes_double():
    assert Codes(np.full((2, 1), 1 / 3, dtype=np.longdouble)).mean.tolist() == [[1 / 3]] * 2


def test_truth_values_are_zero_and_one():
    values = [[True, False], [False, False]]
    for mean in (values, np.array(values), torch.tensor(values)):
        assert torch.equal(Codes(mean).mean, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_tensors_are_not_copied():
    mean = torch.zeros(3, 2)
    assert Codes(mean).mean.data_ptr() == mean.data_ptr()


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
        Codes(np.zeros((4, 2)), np.zeros((4, 3)))
    for shape in ((0, 3), (5, 0), (5,), (1, 5, 3)):
        with pytest.raises(ValueError, match="one or more of each, but has"):
            Codes(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"real numbers, but holds torch.complex64"):
        Codes(torch.zeros(5, 2, dtype=torch.complex64))
    with pytest.raises(ValueError, match="`mean` is not in row 1"):
        Codes([[0.0], [float("nan")]])
    with pytest.raises(ValueError, match="one value per image"):
        Codes(np.zeros((2, 1)), factors={"a": [1, 2], "b": [1, 2, 3]})


def test_conditional_moments_leave_out_unknown_classes_and_have_nan_where_no_row_is():
    table = pl.DataFrame({"a": [0, 0, 0, 1, -1], "b": ["u", "u", "v", "v", "u"]})
    means = [[1.0, 0.0], [3.0, 0.0], [9.0, 5.0], [7.0, 6.0], [100.0, 100.0]]
    codes = Codes(means, factors=table, unknown=-1)
    means, stds = codes.conditional_means(["b", "a"]), codes.conditional_stds(["b", "a"])
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert means.tolist() == [[[2.0, 0.0], [nan, nan]], [[9.0, 5.0], [7.0, 6.0]]]
    assert stds.tolist() == [[[1.0, 0.0], [nan, nan]], [[0.0, 0.0], [0.0, 0.0]]]
    assert codes.conditional_stds(["a"])[0, 0].item() == pytest.approx(np.std([1, 3, 9]))
    with pytest.raises(ValueError, match="needs factor labels"):
        Codes(codes.mean).conditional_means(["a"])


def continuous(n=1000, seed=0):
    """Codes of a latent that follows the age, another that follows nothing, and their factors."""
    random = np.random.default_rng(seed)
    age, noise = random.uniform(20, 80, n), random.normal(size=n)
    mean = np.stack([(age - 50) / 20, noise], axis=1)
    return mean, {"age": age, "sex": random.choice(["f", "m"], n)}


def test_a_factor_with_a_value_per_image_is_scored_in_quantile_bins():
    mean, factors = continuous()
    codes = Codes(mean, np.full_like(mean, -3.0), factors)
    assert codes.binned() == {"age": 20}
    assert codes.factor("age").counts.tolist() == [50] * 20
    assert codes.grid.sizes[0] == 1000
    order = np.argsort(np.argsort(factors["age"]))
    assert codes.factor("age").labels.tolist() == (order // 50).tolist()
    assert mig(codes, factors=["age"]).value > 0.7
    noise = Codes(mean[:, [1, 1]] + [[0, 1]], np.full_like(mean, -3.0), factors)
    assert exact_information(noise, ["age"]).mutual.max() < 0.3
    as_classes = Codes(mean, np.full_like(mean, -3.0), factors, bins=0)
    assert as_classes.binned() == {}
    assert mig(as_classes, factors=["age"]).value < 0.1  # why there are bins
    row = evaluate(codes, ["binned_mig", "irs"], factors=["age"])
    assert row["irs"].value < 0.99
    assert row["binned_mig"].parameters["binned"] == row["irs"].parameters["binned"] == {"age": 20}
    assert "binned" not in evaluate(codes, "binned_mig", factors=["sex"])["binned_mig"].parameters


@pytest.mark.parametrize(
    ("values", "bins"),
    [
        (np.repeat(np.arange(40), 25), 20),  # 25 images a value
        (np.repeat(np.arange(20), 50), None),  # no more values than bins
        (np.repeat(np.arange(21), 50), None),  # enough images a value
        ([f"{k}" + "?" for k in range(1000)], None),  # text has no order
        ([0.0] * 700 + list(range(1, 301)), 7),  # a value that fills more than a bin keeps one
        ([None] * 500 + list(range(500)), 20),
    ],
)
def test_which_factors_are_continuous(values, bins):
    codes = Codes(np.zeros((len(values), 1)), factors={"v": values})
    assert codes.binned() == ({} if bins is None else {"v": bins})
    labels = codes.factor("v").labels
    assert torch.equal(labels < 0, torch.tensor([v is None for v in values]))


def test_a_grid_without_values_is_never_binned():
    grid = FactorGrid(("x", "y"), (30, 30))
    assert Codes(np.zeros((900, 1)), factors=grid).binned() == {}
    assert Codes(np.zeros((90, 1)), factors=grid.take(np.arange(90))).binned() == {}


def test_bins_are_two_or_more():
    with pytest.raises(ValueError, match="2 or more, or 0 for none, but is 1"):
        Codes(np.zeros((2, 1)), bins=1)
    mean, factors = continuous()
    assert Codes(mean, factors=factors, bins=5).binned() == {"age": 5}
    assert Codes(mean, factors=factors, bins=5).take(torch.arange(100)).binned() == {"age": 5}


def ordered_sizes():
    values = ["small", "large", None, "medium", "large", "small"]
    order = ["small", "medium", "large", "huge"]
    return {
        "pandas": lambda: pd.DataFrame(
            {"size": pd.Categorical(values, categories=order, ordered=True)}
        ),
        "a mapping": lambda: {"size": pd.Categorical(values, categories=order, ordered=True)},
        "polars": lambda: pl.DataFrame({"size": values}, schema={"size": pl.Enum(order)}),
    }


@pytest.mark.parametrize("container", ordered_sizes())
def test_ordered_categories_keep_their_order(container):
    grid = Codes(torch.zeros(6, 1), factors=ordered_sizes()[container]()).grid
    assert grid.categories == {"size": ("small", "medium", "large")}
    assert grid.column("size").tolist() == [0, 2, -1, 1, 2, 0]
    assert grid.ordered == ("size",)


def test_categories_without_an_order_are_sorted():
    values = pd.Categorical(["b", "a"], categories=["b", "a"])
    grid = Codes(torch.zeros(2, 1), factors={"kind": values}).grid
    assert (grid.categories, grid.ordered) == ({"kind": ("a", "b")}, ())


DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=30 * k) for k in range(40)]


@pytest.mark.parametrize(
    "days",
    [
        DAYS,
        np.array(DAYS, dtype="datetime64[s]"),
        pd.Series(pd.to_datetime(DAYS)),
        [*DAYS[:20], None, *DAYS[21:]],
    ],
)
def test_dates_are_ordered_and_binned_as_other_continuous_factors(days):
    codes = Codes(torch.zeros(40, 1), factors={"day": days})
    assert codes.grid.ordered == ("day",)
    known = codes.grid.column("day")
    assert (np.diff(known[known >= 0]) > 0).all()
    assert codes.binned() == {"day": 20}


def test_booleans_are_two_classes():
    grid = Codes(torch.zeros(3, 1), factors={"ill": [True, None, False]}).grid
    assert (grid.categories, grid.ordered) == ({"ill": ("False", "True")}, ())
    assert grid.column("ill").tolist() == [1, -1, 0]


def test_lazy_tables_are_read_and_ordered_dictionaries_of_arrow_keep_their_order():
    lazy = pl.DataFrame({"kind": ["b", "a", None]}).lazy()
    assert as_grid(lazy).column("kind").tolist() == [1, 0, -1]

    class Dictionary:
        """As `pyarrow.DictionaryArray`, which the tests do not install."""

        type = SimpleNamespace(ordered=True)
        dictionary = SimpleNamespace(to_pylist=lambda: ["low", "mid", "high"])
        to_pylist = staticmethod(lambda: ["low", None, "high"])

    grid = Codes(torch.zeros(3, 1), factors={"a": Dictionary()}).grid
    assert (grid.categories, grid.ordered) == ({"a": ("low", "high")}, ("a",))
