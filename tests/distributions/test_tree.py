"""The text and list forms of trees, their geometry, and what a bad one is told."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isavae.distributions import LpTree, tree_text

exponents = st.floats(0.01, 1e6)
trees = st.recursive(
    st.one_of(st.just("z"), st.tuples(exponents, st.integers(1, 4))),
    lambda child: st.tuples(exponents, st.lists(child, min_size=1, max_size=4)),
    max_leaves=12,
).filter(lambda node: node != "z")


@given(trees)
def test_text_round_trip(nested):
    tree = LpTree.from_lists(nested)
    assert LpTree.parse(str(tree)) == tree
    assert hash(LpTree.parse(str(tree))) == hash(tree)
    assert pickle.loads(pickle.dumps(tree)) == tree


@given(trees)
def test_subspaces_partition_the_leaves(nested):
    tree = LpTree.from_lists(nested)
    covered = [j for subspace in tree.subspaces for j in range(tree.n)[subspace]]
    assert covered == list(range(tree.n))
    assert len(tree.subspaces) == tree.arities[0]
    assert tree.subspaces[-1].stop == tree.leaf_counts[0] == tree.n


@given(trees)
def test_drawing_names_every_node_once(nested):
    tree = LpTree.from_lists(nested)
    words = tree.show().replace("└── ", "").replace("├── ", "").replace("│", "").split()
    assert [w for w in words if w.startswith("z")] == [f"z{j + 1}" for j in range(tree.n)]
    assert [float(w) for w in words if not w.startswith("z")] == list(tree.exponents)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" 2.1 [2.2 * 4,2.2*4 ] ", "2.1[2.2*4, 2.2*4]"),
        ("2[z, 1*2]", "2[z, 1*2]"),
        ("2.0[z,z,z]", "2*3"),
        ("1e-1[z, 2[3[.5*1]]]", "0.1[z, 2[3[0.5*1]]]"),
        ("1e20*2", "1e+20*2"),
    ],
)
def test_canonical_text(text, canonical):
    assert str(LpTree.parse(text)) == canonical


def test_geometry():
    tree = LpTree.parse("2.1[2.2*4, 3[z, 1.5*2], z]")
    assert tree.n == 8
    assert tree.exponents == (2.1, 2.2, 3.0, 1.5)
    assert tree.subspaces == (slice(0, 4), slice(4, 7), slice(7, 8))
    assert LpTree.parse("2*3").subspaces == (slice(0, 1), slice(1, 2), slice(2, 3))


def test_whole_exponents_are_numbers_like_others():
    whole, real = LpTree((2, 1), (2, 0, 2, 0, 0)), LpTree((2.0, 1.0), (2, 0, 2, 0, 0))
    assert whole == real
    assert hash(whole) == hash(real)
    assert str(whole) == "2[z, 1*2]"
    assert repr(whole) == repr(real)
    assert whole != LpTree((2, 1.5), (2, 0, 2, 0, 0)) != LpTree((2, 1.5), (2, 2, 0, 0, 0))
    assert pickle.loads(pickle.dumps(whole)) == real


def test_published_lists():
    isa = LpTree.isa(2.1, [(2.2, 4), (2.2, 4)])
    assert LpTree.from_lists([2.1, [(2.2, 4), (2.2, 4)]]) == isa
    leaves = [[1.0]] * 4
    assert LpTree.from_lists([2.1, [[2.2, leaves], [2.2, leaves]]]) == isa
    assert str(LpTree.from_lists([2.1, [(2.2, 4), [1.0], (3.0, 2)]])) == "2.1[2.2*4, z, 3*2]"


def test_a_drawing_keeps_the_lines_of_nodes_that_go_on():
    drawing = """\
2
├── 1
│   ├── 3
│   │   └── z1 z2
│   └── z3
└── 4
    └── z4"""
    assert LpTree.parse("2[1[3*2, z], 4*1]").show() == drawing


def test_deep_and_wide_trees_need_no_recursion():
    text = "2[z, " * 1_000 + "2*2" + "]" * 1_000
    tree = LpTree.parse(text)
    assert str(tree) == text
    assert tree.n == 1_002
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert LpTree.parse("2*10000").n == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "2[" + ", ".join(["2*99999"] * 100) + "]",
        "2[" + ", ".join(["z"] * 300) + "]",
        "2[" * 300 + "2*2" + "]" * 300,
        "2*" + "9" * 10_000,
        "x" * 10_000,
    ],
    ids=["leaves", "z", "levels", "digits", "junk"],
)
def test_trees_that_would_fill_the_memory_are_refused(text, monkeypatch):
    """A thousand nodes over 99,999 leaves ended the process."""
    monkeypatch.setattr(tree_text, "MOST_NODES", 200)
    with pytest.raises(ValueError, match="expected") as caught:
        LpTree.parse(text)
    assert len(str(caught.value)) < 250


def test_the_largest_node_is_read():
    assert LpTree.parse("2*99999").n == 99_999


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected an exponent in column 1"),
        ("z", "expected an exponent in column 1"),
        ("2[]", "expected an exponent or a leaf 'z' in column 3"),
        ("2[z,]", "column 5"),
        ("2[z", "expected ',' and another child, or '\\]' in column 4"),
        ("2[z]]", "expected the end of the text in column 5"),
        ("2*0", "expected at least one leaf in column 3"),
        ("2*1.5", "expected a whole number of leaves in column 3"),
        ("2[z, -1*3]", "expected a positive, finite exponent in column 6"),
        ("nan*3", "expected a positive, finite exponent in column 1"),
        ("2 3", "column 3"),
    ],
)
def test_malformed_text_names_the_column(text, message):
    with pytest.raises(ValueError, match=message):
        LpTree.parse(text)


@pytest.mark.parametrize("nested", [[2.0, []], [2.0], [2.0, 0], ["a", 3], [2.0, [None]], "z"])
def test_malformed_lists(nested):
    with pytest.raises(ValueError, match="must be"):
        LpTree.from_lists(nested)


@pytest.mark.parametrize("p", [0.0, -1.0, float("nan"), float("inf")])
def test_exponents_must_be_positive(p):
    with pytest.raises(ValueError, match="positive and finite"):
        LpTree.isa(p, [(2.0, 3)])


@pytest.mark.parametrize("arities", [(), (0,), (2, 0), (1, 0, 0), (-1,)])
def test_arities_must_be_one_tree(arities):
    with pytest.raises(ValueError, match=r"root|one tree"):
        LpTree((2.0,) * sum(a > 0 for a in arities), arities)
