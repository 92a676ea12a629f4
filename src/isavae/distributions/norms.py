"""Tensor numerics of a tree: f(z), log S_f(1) and moments, vectorised over nodes of one shape.

Everything runs on logarithms in float64 (float32 where the device has none): f^p0 amplifies a
rounding of log|z| by p0 log f, which float32 cannot carry for the exponents up to 100 and |z| up to
1e30 that this file promises, and in logarithms no power over- or underflows on the way.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
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
    """Entries of some of the arrays of a sweep, side by side on the last axis."""

    sources: tuple[int, ...]
    index: slice | Tensor

    def __call__(self, arrays: Sequence[Tensor | None]) -> Tensor:
        chosen = [array for i in self.sources if (array := arrays[i]) is not None]
        if len(chosen) == 1:
            return pick(chosen[0], self.index)
        # Leaves have the batch shape of z, inner nodes that of z and the exponents together.
        batch = torch.broadcast_shapes(*(array.shape[:-1] for array in chosen))
        joined = torch.cat([array.expand(*batch, -1) for array in chosen], -1)
        return pick(joined, self.index)


@final
@dataclass(frozen=True, eq=False)
class Level:
    """Inner nodes of equal height and arity, which are computed together.

    `children` finds the values of their children (arrays: leaves, level 1, level 2, …) on the way
    up, `values` their own values among their parents' children on the way down.
    """

    arity: int
    nodes: slice | Tensor
    children: Gather
    values: Gather | None
    leaf_counts: Tensor
    child_counts: Tensor


@final
@dataclass(frozen=True, eq=False)
class Layout:
    """The index structure of a tree on a device: built once per tree, then only looked up.

    `surface_*` are the terms of Eq. 8: weight · logΓ(count / exponent of the node).
    """

    n: int
    levels: tuple[Level, ...]
    leaves: Gather
    surface_counts: Tensor
    surface_nodes: Tensor
    surface_weights: Tensor
    siblings: Tensor


def working_dtype(device: torch.device) -> torch.dtype:
    """float64, except on Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def pick(x: Tensor, index: slice | Tensor) -> Tensor:
    """Entries of the last axis; a slice is a view."""
    return x[..., index] if isinstance(index, slice) else x.index_select(-1, index)


def log_power(z: Tensor, exponents: Tensor, layout: Layout) -> Tensor:
    """Log f(z)^p0 = p0 log f(z), in `working_dtype`.

    At z_j = 0 the logarithm is guarded at its input, so that a gradient is 0 there, never 0·∞: the
    smallest normal number stands in for 0, and its powers vanish beside any other leaf's.
    """
    dtype = exponents.dtype
    arrays = [z.to(dtype).abs().clamp_min(torch.finfo(dtype).tiny).log()]
    for level in layout.levels[:-1]:
        p = pick(exponents, level.nodes)
        arrays.append(_log_sum(arrays, level, p) / p)
    root = layout.levels[-1]
    return _log_sum(arrays, root, pick(exponents, root.nodes)).squeeze(-1)


def _log_sum(arrays: Sequence[Tensor], level: Level, p: Tensor) -> Tensor:
    children = level.children(arrays).unflatten(-1, (-1, level.arity))
    return torch.logsumexp(children * p.unsqueeze(-1), -1)


def sweep_down(root: Tensor, layout: Layout, split: Callable[[Tensor, Level], Tensor]) -> Tensor:
    """Values of the leaves, when `split(values of a level, level)` gives those of its children."""
    passed: list[Tensor | None] = [None] * len(layout.levels)
    for position in reversed(range(len(layout.levels))):
        level = layout.levels[position]
        values = root.unsqueeze(-1) if level.values is None else level.values(passed)
        passed[position] = split(values, level).flatten(-2)
    return layout.leaves(passed)


def log_surface(exponents: Tensor, layout: Layout) -> Tensor:
    """Log S_f(1), the log-surface of the unit sphere of f (Eq. 8)."""
    gammas = torch.lgamma(layout.surface_counts / pick(exponents, layout.surface_nodes))
    logs = (layout.siblings * exponents.log()).sum(-1)
    return layout.n * math.log(2) - logs + (layout.surface_weights * gammas).sum(-1)


def log_moment(count: Tensor | int, p: Tensor, order: int = 2) -> Tensor:
    """Log E G^(order/p) of G ~ Gamma(count/p, 1)."""
    return torch.lgamma((count + order) / p) - torch.lgamma(count / p)


@lru_cache(maxsize=256)
def layout_of(tree: LpTree, device: torch.device) -> Layout:
    """The index structure of a tree on a device."""
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
    preorder = {position: i for i, position in enumerate(_inner_positions(tree))}
    dtype = working_dtype(device)

    def tensor(rows: list) -> Tensor:
        return torch.tensor(rows, dtype=dtype, device=device)

    def level_of(level: list[int]) -> Level:
        children = [tree.children[member] for member in level]
        return Level(
            arity=len(children[0]),
            nodes=_index([preorder[member] for member in level], device),
            children=_gather([place[c] for row in children for c in row], size_up, device),
            values=None
            if level == [0]
            else _gather([parents[m] for m in level], size_down, device),
            leaf_counts=tensor([tree.leaf_counts[member] for member in level]),
            child_counts=tensor([[tree.leaf_counts[c] for c in row] for row in children]),
        )

    terms = _surface_terms(tree)
    return Layout(
        n=tree.n,
        levels=tuple(level_of(level) for level in members),
        leaves=_gather([parents[leaf] for leaf in _leaf_positions(tree)], size_down, device),
        surface_counts=tensor([count for _, count in terms]),
        surface_nodes=torch.tensor([preorder[node] for node, _ in terms], device=device),
        surface_weights=tensor(list(terms.values())),
        siblings=tensor([tree.arities[position] - 1 for position in preorder]),
    )


def _inner_positions(tree: LpTree) -> list[int]:
    return [i for i, arity in enumerate(tree.arities) if arity != LEAF]


def _leaf_positions(tree: LpTree) -> list[int]:
    return [i for i, arity in enumerate(tree.arities) if arity == LEAF]


def _members_by_shape(tree: LpTree) -> list[list[int]]:
    """Inner nodes of one height and arity, lowest first; the root is alone in the last list."""
    height = [0] * len(tree.arities)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position in reversed(_inner_positions(tree)):
        height[position] = 1 + max(height[child] for child in tree.children[position])
    for position in _inner_positions(tree):
        groups[height[position], tree.arities[position]].append(position)
    return [groups[shape] for shape in sorted(groups)]


def _surface_terms(tree: LpTree) -> dict[tuple[int, int], float]:
    """(node, count) -> how often logΓ(count / p of node) enters Eq. 8."""
    terms: dict[tuple[int, int], float] = defaultdict(float)
    for position in _inner_positions(tree):
        terms[position, tree.leaf_counts[position]] -= 1
        for child in tree.children[position]:
            terms[position, tree.leaf_counts[child]] += 1
    return terms


def _gather(wanted: list[tuple[int, int]], sizes: Counter[int], device: torch.device) -> Gather:
    sources = tuple(sorted({source for source, _ in wanted}))
    stops = accumulate(sizes[source] for source in sources)
    start = dict(zip(sources, [0, *stops], strict=False))
    return Gather(sources, _index([start[s] + j for s, j in wanted], device))


def _index(positions: list[int], device: torch.device) -> slice | Tensor:
    """A slice where the positions are consecutive, since a slice costs no kernel."""
    first = positions[0]
    if positions == list(range(first, first + len(positions))):
        return slice(first, first + len(positions))
    return torch.tensor(positions, device=device)
