"""`LpTree`: the immutable layout of a nested norm. No tensors here."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

LEAF = 0


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

    Raises:
        ValueError: If an exponent is not positive and finite, or the arities are not one tree.

    Example:
        >>> tree = LpTree.parse("2.1[2.2*4, 2.2*4]")
        >>> tree.n, tree.exponents, tree.subspaces
        (8, (2.1, 2.2, 2.2), (slice(0, 4, None), slice(4, 8, None)))
        >>> print(LpTree.parse("2[z, 1*2]"))  # Eq. 6
        2[z, 1*2]
    """

    exponents: tuple[float, ...]
    arities: tuple[int, ...]

    def __post_init__(self) -> None:
        for p in self.exponents:
            if not (math.isfinite(p) and p > 0):
                raise ValueError(
                    f"An exponent must be positive and finite, not {p}: choose p > 0 "
                    "(2 is the Euclidean norm)."
                )
        _check_one_tree(self.arities)
        inner = sum(arity != LEAF for arity in self.arities)
        if len(self.exponents) != inner:
            raise ValueError(
                f"A tree needs one exponent per inner node in preorder: {inner}, "
                f"not {len(self.exponents)}."
            )

    @classmethod
    def parse(cls, text: str) -> "LpTree":
        """Reads the text form: `p[child, …]` an inner node, `p*n` one over n leaves, `z` a leaf.

        Raises:
            ValueError: With the column, if the text is not a tree.

        Example:
            >>> LpTree.parse("2[z, 1*2]") == LpTree.parse("2[1*1, z]")
            False
        """
        scan = _Scanner(text)
        exponents: list[float] = []
        arities: list[int] = []
        unclosed: list[int] = []  # positions in `arities` of the nodes whose bracket is open
        while True:
            if unclosed and scan.accept("z"):
                arities.append(LEAF)
            else:
                exponents.append(
                    scan.exponent("an exponent or a leaf 'z'" if unclosed else "an exponent")
                )
                if not scan.accept("*"):
                    scan.expect("[", "'*' and a number of leaves, or '[' and the children")
                    unclosed.append(len(arities))
                    arities.append(1)
                    continue
                arities += _node_over_leaves(scan.leaf_count())
            while unclosed and scan.accept("]"):
                unclosed.pop()
            if not unclosed:
                scan.expect_end()
                return cls(tuple(exponents), tuple(arities))
            scan.expect(",", "',' and another child, or ']'")
            arities[unclosed[-1]] += 1

    @classmethod
    def isa(cls, p0: float, subspaces: Iterable[tuple[float, int]]) -> "LpTree":
        """The tree of depth two of independent subspace analysis: (p_k, n_k) for each subspace.

        Example:
            >>> str(LpTree.isa(2.1, [(2.2, 4)] * 5))
            '2.1[2.2*4, 2.2*4, 2.2*4, 2.2*4, 2.2*4]'
        """
        return cls.from_lists((p0, list(subspaces)))

    @classmethod
    def spherical(cls, p: float, n: int) -> "LpTree":
        """The tree of one node: the Lp-spherical family, f(z) = ‖z‖_p.

        Example:
            >>> str(LpTree.spherical(1.5, 3))
            '1.5*3'
        """
        return cls.from_lists((p, n))

    @classmethod
    def from_lists(cls, nested: Sequence) -> "LpTree":
        """Reads nested lists, in either notation of the published code.

        A node is `(p, n)`, over n leaves, or `[p, children]`; a leaf is `[1.0]` or `"z"`.

        Raises:
            ValueError: If an entry is none of these.

        Example:
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
        exponents = iter(self.exponents)
        text: list[str] = []
        missing: list[int] = []  # children still to come, one entry per open bracket
        position = 0
        while position < len(self.arities):
            arity = self.arities[position]
            over_leaves = self._is_over_leaves(position)
            if arity == LEAF:
                text.append("z")
            else:
                text.append(_format(next(exponents)) + (f"*{arity}" if over_leaves else "["))
            position += 1 + (arity if over_leaves else 0)
            if arity != LEAF and not over_leaves:
                missing.append(arity)
                continue
            while missing and missing[-1] == 1:
                missing.pop()
                text.append("]")
            if missing:
                missing[-1] -= 1
                text.append(", ")
        return "".join(text)

    def __repr__(self) -> str:
        return f"LpTree.parse({str(self)!r})"

    def show(self) -> str:
        """The tree as a drawing, one line per node, the leaves of a node on one line.

        Example:
            >>> print(LpTree.parse("2[z, 1*2]").show())
            2
            ├── z1
            └── 1
                └── z2 z3
        """
        return "\n".join(_drawing(self))

    @cached_property
    def n(self) -> int:
        """Number of leaves: the width of z."""
        return self.arities.count(LEAF)

    @cached_property
    def leaf_counts(self) -> tuple[int, ...]:
        """Leaves below every node, in preorder; 1 for a leaf."""
        counts = [1] * len(self.arities)
        done: list[int] = []  # subtrees to the right of the current node, nearest last
        for position in reversed(range(len(self.arities))):
            arity = self.arities[position]
            if arity != LEAF:
                counts[position] = sum(done[-arity:])
                del done[-arity:]
            done.append(counts[position])
        return tuple(counts)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Positions (in preorder) of the children of every node."""
        children: list[tuple[int, ...]] = [()] * len(self.arities)
        done: list[int] = []
        for position in reversed(range(len(self.arities))):
            arity = self.arities[position]
            if arity != LEAF:
                children[position] = tuple(reversed(done[-arity:]))
                del done[-arity:]
            done.append(position)
        return tuple(children)

    @cached_property
    def subspaces(self) -> tuple[slice, ...]:
        """The leaves below each child of the root, as slices of the last axis of z."""
        stops = []
        for child in self.children[0]:
            stops.append((stops[-1] if stops else 0) + self.leaf_counts[child])
        return tuple(slice(a, b) for a, b in zip([0, *stops], stops, strict=False))

    def _is_over_leaves(self, position: int) -> bool:
        arity = self.arities[position]
        below = self.arities[position + 1 : position + 1 + arity]
        return arity != LEAF and all(child == LEAF for child in below)


def _node_over_leaves(n: int) -> list[int]:
    return [n] + [LEAF] * n


def _check_one_tree(arities: tuple[int, ...]) -> None:
    if not arities or arities[0] == LEAF:
        raise ValueError("The root must be an inner node, as in '2*1' for a single leaf.")
    missing = 1
    for arity in arities:
        if missing == 0 or arity < 0:
            break
        missing += arity - 1
    else:
        if missing == 0:
            return
    raise ValueError(f"The arities must describe one tree in preorder, not {arities}.")


def _format(p: float) -> str:
    return repr(int(p)) if p.is_integer() and p < 1e15 else repr(p)


def _drawing(tree: LpTree) -> Iterator[str]:
    exponents = iter(tree.exponents)
    leaves = iter(range(1, tree.n + 1))
    waiting = [(0, "", "")]  # node, what stands before it, what stands before its children
    while waiting:
        position, before, margin = waiting.pop()
        if tree.arities[position] == LEAF:
            yield f"{before}z{next(leaves)}"
            continue
        yield before + _format(next(exponents))
        if tree._is_over_leaves(position):
            names = (f"z{next(leaves)}" for _ in range(tree.arities[position]))
            yield f"{margin}└── {' '.join(names)}"
            continue
        *others, last = tree.children[position]
        waiting.append((last, margin + "└── ", margin + "    "))
        waiting.extend((child, margin + "├── ", margin + "│   ") for child in reversed(others))


class _Scanner:
    """Reads a tree's text from left to right; every complaint names the column."""

    _NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)", re.I)
    _COUNT = re.compile(r"\d+(?![.\deE])")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def accept(self, mark: str) -> bool:
        self._skip_space()
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def expect(self, mark: str, wanted: str) -> None:
        if not self.accept(mark):
            raise self._error(wanted)

    def expect_end(self) -> None:
        self._skip_space()
        if self.at < len(self.text):
            raise self._error("the end of the text")

    def exponent(self, wanted: str) -> float:
        found = self._match(self._NUMBER, wanted)
        p = float(found.group())
        if not (math.isfinite(p) and p > 0):
            self.at = found.start()
            raise self._error("a positive, finite exponent")
        return p

    def leaf_count(self) -> int:
        found = self._match(self._COUNT, "a whole number of leaves")
        if int(found.group()) == 0:
            self.at = found.start()
            raise self._error("at least one leaf")
        return int(found.group())

    def _match(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        self._skip_space()
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self._error(wanted)
        self.at = found.end()
        return found

    def _skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _error(self, wanted: str) -> ValueError:
        rest = self.text[self.at :]
        got = repr(rest[:12] + ("…" if len(rest) > 12 else "")) if rest else "the end"
        return ValueError(
            f"A tree's text must read like '2.1[2.2*4, 2.2*4]': expected {wanted} in column "
            f"{self.at + 1} of {self.text!r}, found {got}."
        )
