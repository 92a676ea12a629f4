"""The text form of a tree, parsed with errors that name a column, and its drawing."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import final

LEAF = 0


def read(text: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The exponents and arities, in preorder, of a text such as `2.1[2.2*4, z]`.

    Raises:
        ValueError: With the column, if the text is not a tree.
    """
    scan = _Scanner(text)
    exponents: list[float] = []
    arities: list[int] = []
    unclosed: list[int] = []  # positions in `arities` of the nodes whose bracket is open
    while True:
        if unclosed and scan.accept("z"):
            arities.append(LEAF)
        else:
            wanted = "an exponent or a leaf 'z'" if unclosed else "an exponent"
            exponents.append(scan.exponent(wanted))
            if not scan.accept("*"):
                scan.expect("[", "'*' and a number of leaves, or '[' and the children")
                unclosed.append(len(arities))
                arities.append(1)
                continue
            n = scan.leaf_count()
            arities += [n] + [LEAF] * min(n, MOST_NODES)
        if len(arities) > MOST_NODES:
            raise scan.too_large()
        while unclosed and scan.accept("]"):
            unclosed.pop()
        if not unclosed:
            scan.expect_end()
            return tuple(exponents), tuple(arities)
        scan.expect(",", "',' and another child, or ']'")
        arities[unclosed[-1]] += 1


def write(exponents: Sequence[float], arities: Sequence[int]) -> str:
    """The text form of a tree, the inverse of `read`."""
    exponents_left = iter(exponents)
    text: list[str] = []
    missing: list[int] = []  # children still to come, one entry per open bracket
    position = 0
    while position < len(arities):
        arity = arities[position]
        over_leaves = _is_over_leaves(arities, position)
        if arity == LEAF:
            text.append("z")
        else:
            mark = f"*{arity}" if over_leaves else "["
            text.append(_format(next(exponents_left)) + mark)
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


def draw(
    exponents: Sequence[float], arities: Sequence[int], children: Sequence[tuple[int, ...]]
) -> Iterator[str]:
    """The lines of a drawing: one per node, the leaves of a node together on one."""
    exponents_left = iter(exponents)
    leaves = iter(range(1, len(arities) + 1))
    waiting = [(0, "", "")]  # node, prefix of its line, prefix of its children's lines
    while waiting:
        position, before, margin = waiting.pop()
        if arities[position] == LEAF:
            yield f"{before}z{next(leaves)}"
            continue
        yield before + _format(next(exponents_left))
        if _is_over_leaves(arities, position):
            names = (f"z{next(leaves)}" for _ in range(arities[position]))
            yield f"{margin}└── {' '.join(names)}"
            continue
        *others, last = children[position]
        waiting.append((last, margin + "└── ", margin + "    "))
        waiting.extend((child, margin + "├── ", margin + "│   ") for child in reversed(others))


def _is_over_leaves(arities: Sequence[int], position: int) -> bool:
    arity = arities[position]
    below = arities[position + 1 : position + 1 + arity]
    return arity != LEAF and all(child == LEAF for child in below)


def _format(p: float) -> str:
    return repr(int(p)) if p.is_integer() and p < 1e15 else repr(p)


# Of a number of leaves, and of nodes: far above any latent space, far below the memory.
MOST_DIGITS, MOST_NODES = 5, 10**5
# Characters of a text that an error repeats.
MOST_SHOWN = 60


@final
class _Scanner:
    """A scanner of a tree's text from left to right, whose errors name the column."""

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
        digits = found.group().lstrip("0")
        if not digits or len(digits) > MOST_DIGITS:
            self.at = found.start()
            raise self._error(
                f"at most {'9' * MOST_DIGITS} leaves" if digits else "at least one leaf"
            )
        return int(digits)

    def too_large(self) -> ValueError:
        return self._error(f"at most {MOST_NODES:,} nodes and leaves, and their end")

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
        text = self.text if len(self.text) <= MOST_SHOWN else self.text[:MOST_SHOWN] + "…"
        return ValueError(
            f"A tree's text must read like '2.1[2.2*4, 2.2*4]': expected {wanted} in column "
            f"{self.at + 1} of {text!r}, found {got}."
        )
