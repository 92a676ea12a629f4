"""`LpTree`: the immutable tree of a nested norm, without tensors."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import final

from isavae.distributions import tree_text
from isavae.distributions.tree_text import LEAF


@final
@dataclass(frozen=True)
class LpTree:
    """The tree behind an Lp-nested function f (Eqs. 6 and 9).

    A leaf stands for |z_j|; an inner node with exponent p and children v_1..v_l has the value
    (Σ_k v_k^p)^(1/p); f(z) is the value of the root. Nodes are kept in preorder, so that trees of
    any depth compare, hash and pickle without recursion.

    Args:
        exponents: One positive exponent per inner node, in preorder.
        arities: The number of children of every node, in preorder; 0 is a leaf.

    Attributes:
        n: Number of leaves: the width of z.
        inner: Positions of the inner nodes among all nodes, in preorder.
        children: Positions (in preorder) of the children of every node.
        leaf_counts: Leaves below every node, in preorder; 1 for a leaf.

    Raises:
        ValueError: If an exponent is not positive and finite, or the arities are not one tree.

    Examples:
        >>> tree = LpTree.parse("2.1[2.2*4, 2.2*4]")
        >>> tree.n, tree.exponents, tree.subspaces
        (8, (2.1, 2.2, 2.2), (slice(0, 4, None), slice(4, 8, None)))
        >>> print(LpTree.parse("2[z, 1*2]"))  # Eq. 6
        2[z, 1*2]
    """

    exponents: tuple[float | int, ...]
    arities: tuple[int, ...]
    # Derived at once: `torch.compile` cannot trace the lock of a cached property.
    n: int = field(init=False, repr=False, compare=False)
    inner: tuple[int, ...] = field(init=False, repr=False, compare=False)
    children: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)
    leaf_counts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Integers are accepted; 2 equals 2.0, also in the text form.
        object.__setattr__(self, "exponents", tuple(map(float, self.exponents)))
        for p in self.exponents:
            if not (math.isfinite(p) and p > 0):
                raise ValueError(
                    f"An exponent must be positive and finite, not {p}: choose p > 0 "
                    "(2 is the Euclidean norm)."
                )
        _check_one_tree(self.arities)
        inner = tuple(i for i, arity in enumerate(self.arities) if arity != LEAF)
        children = _children(self.arities)
        object.__setattr__(self, "n", self.arities.count(LEAF))
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "children", children)
        object.__setattr__(self, "leaf_counts", _leaf_counts(inner, children))
        if len(self.exponents) != len(self.inner):
            raise ValueError(
                f"A tree must have one exponent per inner node, here {len(self.inner)}, not "
                f"{len(self.exponents)}: list them in preorder."
            )

    @classmethod
    def parse(cls, text: str) -> "LpTree":
        """Parse the text form: `p[child, …]` an inner node, `p*n` one over n leaves, `z` a leaf.

        Raises:
            ValueError: With the column, if the text is not a tree.

        Examples:
            >>> LpTree.parse("2[z, 1*2]") == LpTree.parse("2[1*1, z]")
            False
        """
        return cls(*tree_text.read(text))

    @classmethod
    def isa(cls, p0: float, subspaces: Iterable[tuple[float, int]]) -> "LpTree":
        """The tree of depth two of independent subspace analysis: (p_k, n_k) for each subspace.

        Args:
            p0: Exponent of the root.
            subspaces: Exponent and number of leaves of each subspace.

        Examples:
            >>> str(LpTree.isa(2.1, [(2.2, 4)] * 5))
            '2.1[2.2*4, 2.2*4, 2.2*4, 2.2*4, 2.2*4]'
        """
        return cls.from_lists((p0, list(subspaces)))

    @classmethod
    def spherical(cls, p: float, n: int) -> "LpTree":
        """The tree of one node: the Lp-spherical family, f(z) = ‖z‖_p.

        Args:
            p: The exponent.
            n: Number of leaves.

        Examples:
            >>> str(LpTree.spherical(1.5, 3))
            '1.5*3'
        """
        return cls.from_lists((p, n))

    @classmethod
    def from_lists(cls, nested: Sequence) -> "LpTree":
        """Convert nested lists, in either notation of the published code.

        A node is `(p, n)`, over n leaves, or `[p, children]`; a leaf is `[1.0]` or `"z"`.

        Raises:
            ValueError: If an entry is none of these.

        Examples:
            >>> str(LpTree.from_lists([2.1, [(2.2, 4), (2.2, 4)]]))
            '2.1[2.2*4, 2.2*4]'
            >>> str(LpTree.from_lists([2.1, [[2.2, [[1.0], [1.0]]], [1.0]]]))
            '2.1[2.2*2, z]'
        """
        exponents: list[float] = []
        arities: list[int] = []
        waiting = [nested]
        while waiting:
            match waiting.pop():
                case "z" | [float() | int()]:
                    arities.append(LEAF)
                case [float() | int() as p, int(n)] if n > 0:
                    exponents.append(float(p))
                    arities += _node_over_leaves(n)
                case [float() | int() as p, [_, *_] as children]:
                    exponents.append(float(p))
                    arities.append(len(children))
                    waiting.extend(reversed(children))
                case other:
                    raise ValueError(
                        "A node must be (p, number of leaves) or [p, [child, …]] with at least one "
                        f"child, and a leaf [1.0] or 'z', not {other!r}: see LpTree.from_lists."
                    )
        return cls(tuple(exponents), tuple(arities))

    def __str__(self) -> str:
        return tree_text.write(self.exponents, self.arities)

    def __repr__(self) -> str:
        return f"LpTree.parse({str(self)!r})"

    def show(self) -> str:
        """The tree as a drawing, one line per node, the leaves of a node on one line.

        Examples:
            >>> print(LpTree.parse("2[z, 1*2]").show())
            2
            ├── z1
            └── 1
                └── z2 z3
        """
        return "\n".join(tree_text.draw(self.exponents, self.arities, self.children))

    @property
    def subspaces(self) -> tuple[slice, ...]:
        """The leaves below each child of the root, as slices of the last axis of z."""
        stops = []
        for child in self.children[0]:
            stops.append((stops[-1] if stops else 0) + self.leaf_counts[child])
        return tuple(slice(a, b) for a, b in zip([0, *stops], stops, strict=False))


def _children(arities: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    children: list[tuple[int, ...]] = [()] * len(arities)
    done: list[int] = []  # subtrees to the right of the current node, nearest last
    for position in reversed(range(len(arities))):
        arity = arities[position]
        if arity != LEAF:
            children[position] = tuple(reversed(done[-arity:]))
            del done[-arity:]
        done.append(position)
    return tuple(children)


def _leaf_counts(inner: tuple[int, ...], children: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    counts = [1] * len(children)
    for position in reversed(inner):
        counts[position] = sum(counts[child] for child in children[position])
    return tuple(counts)


def _node_over_leaves(n: int) -> list[int]:
    return [n] + [LEAF] * n


def _check_one_tree(arities: tuple[int, ...]) -> None:
    if not arities or arities[0] == LEAF:
        raise ValueError(
            f"The root must be an inner node, not a tree of arities {arities}: write '2*1' for a "
            "single leaf."
        )
    missing = 1
    for arity in arities:
        if missing == 0 or arity < 0:
            break
        missing += arity - 1
    else:
        if missing == 0:
            return
    raise ValueError(
        f"The arities must describe one tree in preorder, not {arities}: give the number of "
        "children of every node, 0 for a leaf."
    )
