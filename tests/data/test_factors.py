"""FactorGrid: complete grids against their enumeration, partial grids against their table."""

import datetime
import itertools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isavae.data import FactorGrid
from isavae.data.factor_values import grid_of_values

SHAPES = {"shape": ("square", "ellipse", "heart")}


def small() -> FactorGrid:
    return FactorGrid(("shape", "x", "y"), (3, 4, 2), categories=SHAPES)


def partial() -> FactorGrid:
    labels = np.array([[0, 1], [2, -1], [2, 1], [-1, 0], [2, 1]])
    return FactorGrid(("shape", "x"), (3, 2), labels, categories=SHAPES)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_complete_grid_is_the_product_of_its_classes(sizes):
    grid = FactorGrid([f"f{k}" for k in range(len(sizes))], sizes)
    every = list(itertools.product(*map(range, sizes)))
    assert len(grid) == len(every)
    assert grid.labels_array().tolist() == [list(one) for one in every]
    assert [grid.values(row) for row in range(len(grid))] == every
    assert [grid.index(one) for one in every] == list(range(len(grid)))


@given(st.data())
def test_selection_describes_exactly_the_rows_it_returns(data):
    complete = data.draw(st.booleans())
    whole = small() if complete else small().take(np.random.default_rng(0).permutation(24)[:20])
    choices = {
        name: data.draw(st.permutations(range(size)))[: data.draw(st.integers(1, size))]
        for name, size in zip(whole.names, whole.sizes, strict=True)
        if data.draw(st.booleans())
    }
    rows, part = whole.select(**choices)
    kept = [choices.get(n, range(s)) for n, s in zip(whole.names, whole.sizes, strict=True)]
    table = whole.labels_array()
    assert sorted(rows) == [
        row for row in range(len(whole)) if all(table[row, k] in kept[k] for k in range(3))
    ]
    renumbered = [[kept[k][c] for k, c in enumerate(one)] for one in part.labels_array()]
    assert renumbered == table[rows].tolist()
    assert part.is_complete == complete


def test_categories_name_classes_and_follow_a_selection():
    rows, part = small().select(shape=["heart", "square"])
    assert part.categories == {"shape": ("heart", "square")}
    assert small().column("shape")[rows].tolist() == [2] * 8 + [0] * 8
    assert part.column("shape").tolist() == [0] * 8 + [1] * 8


def test_defaults_of_scored_and_ordered():
    assert small().scored == ("shape", "x", "y")
    assert small().ordered == ("x", "y")
    assert small().select(x=1)[1].scored == ("shape", "y")


def test_a_partial_grid_keeps_unknown_and_repeated_rows():
    grid = partial()
    assert (len(grid), grid.is_complete) == (5, False)
    assert grid.column("x").tolist() == [1, -1, 1, 0, 1]
    assert grid.index((2, 1)) == 2
    rows, hearts = grid.select(shape="heart")
    assert rows.tolist() == [1, 2, 4]
    assert hearts.labels_array().tolist() == [[0, -1], [0, 1], [0, 1]]


def test_equality():
    assert small() == small()
    assert small() != partial()
    assert partial() == partial()
    assert partial() != partial().take(np.array([0, 1, 2, 4, 3]))
    assert small().take(np.arange(24)) != small()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FactorGrid(("a", "b"), (2,)), "one positive size each"),
        (lambda: FactorGrid(("a", "a"), (2, 2)), "distinct names"),
        (lambda: FactorGrid(("a",), (0,)), "positive size"),
        (lambda: FactorGrid((), ()), "positive size"),
        (lambda: FactorGrid(("a",), (2,), scored=("b",)), "must name factors"),
        (lambda: FactorGrid(("a",), (2,), categories={"a": ("x",)}), "2 distinct category names"),
        (lambda: FactorGrid(("a",), (2,), np.array([[2]])), "in 0..size-1"),
        (lambda: FactorGrid(("a",), (2,), np.array([[0.5]])), "must be integers"),
        (lambda: FactorGrid(("a",), (2,), np.array([0])), r"shape \(rows, 1\)"),
        (lambda: small().column("z"), "must be one of"),
        (lambda: small().index((0, 9, 0)), "No row shows"),
        (lambda: small().values(24), "must be in 0..23"),
        (lambda: small().select(shape="hart"), "'hart'"),
        (lambda: small().select(x=4), "0..3"),
        (lambda: small().select(x=[1, 1]), "distinct classes"),
        (lambda: small().select(x=slice(9, 12)), "one or more"),
    ],
)
def test_bad_grids_and_choices_get_a_sentence(make, message):
    with pytest.raises((ValueError, IndexError), match=message):
        make()


def test_combinations_with_an_unknown_class_are_unknown():
    labels = np.array([[0, 1, 2], [-1, 1, 0], [1, -1, 0], [1, 0, -1], [1, 1, 2]])
    grid = FactorGrid(("a", "b", "c"), (2, 2, 3), labels=labels)
    assert grid.combinations(["a", "b", "c"]).tolist() == [5, -1, -1, -1, 11]
    assert grid.combinations(["c", "a"]).tolist() == [4, -1, 1, -1, 5]
    whole = FactorGrid(("a", "b", "c"), (2, 2, 3))
    assert whole.combinations(whole.names).tolist() == list(range(12))


def test_grouping_factors_are_unordered_and_small():
    sizes, text = (
        (5, 4, 2, 1),
        {n: [*"vwxyz"[:size]] for n, size in zip("abd", (5, 4, 1), strict=True)},
    )
    grid = FactorGrid(("a", "b", "c", "d"), sizes, categories=text)
    assert grid.grouping_factor(grid.names) == "b"
    assert grid.grouping_factor(("a", "c", "d")) is None


WEEKS = [datetime.timedelta(days=d) for d in (100, 9, 10)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (WEEKS, ("9 days", "10 days", "100 days")),
        (np.array(WEEKS, "m8[D]"), ("9 days", "10 days", "100 days")),
        ([*pandas.Series(WEEKS)], ("9 days", "10 days", "100 days")),
        ([datetime.time(h) for h in (22, 9, 10)], ("09:00:00", "10:00:00", "22:00:00")),
        ([pandas.Period(month) for month in ("2021-02", "2019-12", "2020-01")],
         ("2019-12", "2020-01", "2021-02")),
        ([Decimal("100.5"), Decimal(9), Decimal(10)], (9, 10, 100.5)),
        ([Fraction(7, 2), Fraction(1, 4), 1 - Fraction(1, 2)], (0.25, 0.5, 3.5)),
    ],
)  # fmt: skip
def test_times_durations_and_decimals_are_in_their_order(values, expected):
    grid = grid_of_values({"a": [*values, None]})
    assert grid.ordered == ("a",)
    assert grid.column("a").tolist() == [2, 0, 1, -1]
    names = grid.categories["a"]
    assert all(str(name).startswith(str(e)) for name, e in zip(names, expected, strict=True))
    assert len(grid_of_values({"a": values}).categories["a"]) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2], [3]], "one is a list: give each of its parts a column"),
        ([[1], [2]], "one is a list"),
        ([{"x": 1}, {"x": 2}], "one is a dict"),
        ([1j, 2], "one is a complex"),
        ([np.zeros(2), np.ones(2)], "one is a ndarray"),
        ([datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)], "must be of one kind"),
    ],
)
def test_values_that_are_no_classes_get_a_sentence(values, message):
    with pytest.raises(ValueError, match=message):
        grid_of_values({"a": values})
    with pytest.raises(ValueError, match="must be a factor, but there is none"):
        grid_of_values({})


@pytest.mark.parametrize("values", [[b"\xff", b"a"], np.array([b"\xff", b"a"])])
def test_bytes_that_are_no_text_are_refused_by_their_factor(values):
    with pytest.raises(ValueError, match=r"factor 'kind' must be .* bytes that are no text"):
        grid_of_values({"kind": values})


def test_long_texts_are_refused_by_their_factor():
    with pytest.raises(ValueError, match="factor 'kind' must have at most 1,000 characters"):
        grid_of_values({"kind": ["a", "b" * 1_001]})
