"""The index structure of a tree on a device: nodes of one shape together, level by level.

Inside, leaves and nodes are on the first axis and the batch on the others: sums over the few
children of a node then run along whole vectors of the batch, several times faster on a CPU.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import final

import torch
from torch import Tensor

from isavae.distributions.tree import LEAF, LpTree


@final
@dataclass(frozen=True, eq=False)
class Gather:
    """Entries of some of the arrays of a sweep, one after the other on the first axis."""

    sources: tuple[int, ...]
    index: slice | Tensor

    def __call__(self, arrays: Sequence[Tensor] | Mapping[int, Tensor]) -> Tensor:
        chosen = [arrays[source] for source in self.sources]
        if len(chosen) == 1:
            return index_first(chosen[0], self.index)
        # Leaves have the batch shape of z, inner nodes that of z and the exponents together.
        batch = torch.broadcast_shapes(*(array.shape[1:] for array in chosen))
        joined = torch.cat([array.expand(-1, *batch) for array in chosen])
        return index_first(joined, self.index)


@final
@dataclass(frozen=True, eq=False)
class Level:
    """Inner nodes of equal height and arity, which are computed together.

    `children` finds the values of their children (arrays: leaves, level 1, level 2, …) on the way
    up, `values` their own values among their parents' children on the way down.
    """

    position: int
    arity: int
    nodes: slice | Tensor
    children: Gather
    values: Gather | None
    leaf_counts: Tensor
    child_counts: Tensor


@final
@dataclass(frozen=True, eq=False)
class TreeIndex:
    """The index structure of a tree on a device: built once per tree, then only looked up.

    `surface_*` are the terms of Eq. 8: weight · logΓ(count / exponent of the node). `preorder` puts
    nodes listed level by level into preorder.
    """

    n: int
    levels: tuple[Level, ...]
    leaves: Gather
    surface_counts: Tensor
    surface_nodes: Tensor
    surface_weights: Tensor
    siblings: Tensor
    preorder: Tensor


def working_dtype(device: torch.device) -> torch.dtype:
    """float64, except on Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def index_first(x: Tensor, index: slice | Tensor) -> Tensor:
    """Entries of the first axis; a slice is a view."""
    return x[index] if isinstance(index, slice) else x.index_select(0, index)


def index_of(tree: LpTree, device: torch.device) -> TreeIndex:
    """The index structure of a tree on a device, built at the first call."""
    # A compiler traces the search, and warns of caches.
    build = _build_index if torch.compiler.is_compiling() else _cached_index
    return build(tree, device)


def sweep_down(root: Tensor, index: TreeIndex, split: Callable[[Tensor, Level], Tensor]) -> Tensor:
    """Values of the leaves, when `split(values of a level, level)` gives those of its children."""
    passed: dict[int, Tensor] = {}
    for level in reversed(index.levels):
        values = root.unsqueeze(0) if level.values is None else level.values(passed)
        passed[level.position] = split(values, level).flatten(0, 1)
    return index.leaves(passed)


def _build_index(tree: LpTree, device: torch.device) -> TreeIndex:
    members = _members_by_shape(tree)
    place = {
        member: (i + 1, j) for i, level in enumerate(members) for j, member in enumerate(level)
    }
    place |= {leaf: (0, j) for j, leaf in enumerate(_leaf_positions(tree))}
    parents = {
        child: (i, j)
        for i, level in enumerate(members)
        for j, child in enumerate(child for member in level for child in tree.children[member])
    }
    size_up = Counter(source for source, _ in place.values())
    size_down = Counter(source for source, _ in parents.values())
    preorder = {position: i for i, position in enumerate(tree.inner)}
    dtype = working_dtype(device)

    def tensor(rows: list) -> Tensor:
        return torch.tensor(rows, dtype=dtype, device=device)

    def level_of(position: int, level: list[int]) -> Level:
        children = [tree.children[member] for member in level]
        return Level(
            position=position,
            arity=len(children[0]),
            nodes=_index([preorder[member] for member in level], len(preorder), device),
            children=_gather([place[c] for row in children for c in row], size_up, device),
            values=None
            if level == [0]
            else _gather([parents[m] for m in level], size_down, device),
            leaf_counts=tensor([tree.leaf_counts[member] for member in level]),
            child_counts=tensor([[tree.leaf_counts[c] for c in row] for row in children]),
        )

    terms = _surface_terms(tree)
    by_level = [member for level in members for member in level]
    listed = {member: i for i, member in enumerate(by_level)}
    return TreeIndex(
        n=tree.n,
        levels=tuple(level_of(i, level) for i, level in enumerate(members)),
        leaves=_gather([parents[leaf] for leaf in _leaf_positions(tree)], size_down, device),
        surface_counts=tensor([count for _, count in terms]),
        surface_nodes=torch.tensor([preorder[node] for node, _ in terms], device=device),
        surface_weights=tensor(list(terms.values())),
        preorder=torch.tensor([listed[position] for position in preorder], device=device),
        siblings=tensor([tree.arities[position] - 1 for position in preorder]),
    )


_cached_index = lru_cache(maxsize=256)(_build_index)


def _leaf_positions(tree: LpTree) -> list[int]:
    return [i for i, arity in enumerate(tree.arities) if arity == LEAF]


def _members_by_shape(tree: LpTree) -> list[list[int]]:
    """Inner nodes of one height and arity, lowest first; the root is alone in the last list."""
    height = [0] * len(tree.arities)
    for position in reversed(tree.inner):
        height[position] = 1 + max(height[child] for child in tree.children[position])
    # No sorting: a compiler that traces this takes arities for unknown numbers.
    groups: list[dict[int, list[int]]] = [{} for _ in range(height[0] + 1)]
    for position in tree.inner:
        groups[height[position]].setdefault(tree.arities[position], []).append(position)
    return [members for of_height in groups for members in of_height.values()]


def _surface_terms(tree: LpTree) -> dict[tuple[int, int], float]:
    """(node, count) -> how often logΓ(count / p of node) enters Eq. 8."""
    terms: dict[tuple[int, int], float] = defaultdict(float)
    for position in tree.inner:
        terms[position, tree.leaf_counts[position]] -= 1
        for child in tree.children[position]:
            terms[position, tree.leaf_counts[child]] += 1
    return terms


def _gather(wanted: list[tuple[int, int]], sizes: Counter[int], device: torch.device) -> Gather:
    sources = tuple(sorted({source for source, _ in wanted}))
    stops = list(accumulate(sizes[source] for source in sources))
    start = dict(zip(sources, [0, *stops], strict=False))
    return Gather(sources, _index([start[s] + j for s, j in wanted], stops[-1], device))


def _index(positions: list[int], size: int, device: torch.device) -> slice | Tensor:
    """A slice where the positions are consecutive, since a slice costs no kernel."""
    first = positions[0]
    if positions == list(range(size)):
        return slice(None)  # whole: its gradient needs no padding either
    if positions == list(range(first, first + len(positions))):
        return slice(first, first + len(positions))
    return torch.tensor(positions, device=device)
