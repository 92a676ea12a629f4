"""Recursions over a tree: f(z), log S_f(1), exact draws and second moments.

All are vectorised over nodes of one shape, and run on logarithms in float64 (float32 where the
device has none): f^p0 amplifies a rounding of log|z| by p0 log f, which float32 cannot hold for
the supported range, exponents up to 100 and |z| up to 1e30, and in logarithms no power overflows or
underflows.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from isavae.distributions.tree_index import Level, TreeIndex, index_first, sweep_down

# A block of this many leaves, with their powers and shares, stays in a CPU's cache.
_BLOCK = 2**18


def log_norm(z: Tensor, exponents: Tensor, index: TreeIndex) -> Tensor:
    """The logarithm of f(z), in the precision of the exponents, one per inner node in preorder."""
    if exponents.dim() > 1 or z.device.type != "cpu" or z.numel() <= _BLOCK:
        return _log_norm(z, exponents, index)
    blocks = z.reshape(-1, index.n).split(max(_BLOCK // index.n, 1))
    norms = torch.cat([_log_norm(block, exponents, index) for block in blocks])
    return norms.reshape(z.shape[:-1])


def _log_norm(z: Tensor, exponents: Tensor, index: TreeIndex) -> Tensor:
    axes = max(z.dim(), exponents.dim())
    # Moving the axis before widening the type is eight times faster than after it.
    leaves = nodes_first(z, axes).contiguous().to(torch.promote_types(z.dtype, torch.float32))
    exponents = nodes_first(exponents, axes)
    # The compiler fuses plain operations by itself, and `torch.func` transforms them to any order.
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return _Sweep(leaves, exponents, index).log_norm
    wanted = leaves.requires_grad, exponents.requires_grad
    return _LogNorm.apply(leaves, exponents, index, wanted)[0]


class _Sweep:
    """The values of all nodes, from the leaves to the root, and the derivatives of the root's.

    `logs` are the logarithms of the values, level by level; `weights` those of the children, as
    shares of the largest child's power, and `totals` their sums.
    """

    def __init__(self, leaves: Tensor, exponents: Tensor, index: TreeIndex) -> None:
        self.leaves, self.exponents, self.index = leaves, exponents, index
        # The smallest normal number stands in for 0: its powers do not count beside another leaf's.
        # The largest one stands in for infinity.
        limits = torch.finfo(exponents.dtype)
        self.magnitudes = leaves.to(exponents.dtype).abs().clamp(limits.tiny, limits.max)
        self.logs = [self.magnitudes.log()]
        self.weights: list[Tensor] = []
        self.totals: list[Tensor] = []
        for level in index.levels:
            p = index_first(exponents, level.nodes)
            powers = _children(self.logs, level) * p.unsqueeze(1)
            largest = powers.detach().amax(1)  # cancels: no gradient need pass through it
            self.weights.append(powers.sub_(largest.unsqueeze(1)).exp_())
            self.totals.append(self.weights[-1].sum(1))
            self.logs.append(self.totals[-1].log().add_(largest).div_(p))

    @property
    def log_norm(self) -> Tensor:
        return self.logs[-1].squeeze(0)

    def slopes(self, wanted: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
        """Derivatives of log f in the leaves and in the exponents; empty if not wanted.

        The derivative in log|z_j| is the product of the shares v_k^p / Σ v^p on the path to j.
        """
        of_nodes: dict[int, Tensor] = {}

        def split(values: Tensor, level: Level) -> Tensor:
            of_nodes[level.position] = values
            shares = (values / self.totals[level.position]).unsqueeze(1)
            return shares * self.weights[level.position]

        at_leaves = sweep_down(torch.ones_like(self.log_norm), self.index, split)
        empty = self.leaves.new_empty(0)
        return (
            # 1/z, but 0 at z = 0, where the sign is 0: so is the gradient there.
            at_leaves.mul_(self.leaves.sgn() / self.magnitudes) if wanted[0] else empty,
            self._exponent_slopes(of_nodes) if wanted[1] else empty,
        )

    def _exponent_slopes(self, of_nodes: dict[int, Tensor]) -> Tensor:
        by_level = []
        for i, level in enumerate(self.index.levels):
            mean_log = (self.weights[i] * _children(self.logs, level)).sum(1) / self.totals[i]
            by_level.append(of_nodes[i] * (mean_log - self.logs[i + 1]))
        return torch.cat(by_level).index_select(0, self.index.preorder) / self.exponents


class _LogNorm(Function):
    """log f and its slopes, computed together while the intermediate values are in the cache.

    Written by hand because memory traffic dominates: autograd would keep a dozen arrays of the size
    of z for the gradient, this keeps one.
    """

    @staticmethod
    def forward(
        leaves: Tensor, exponents: Tensor, index: TreeIndex, wanted: tuple[bool, bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        sweep = _Sweep(leaves, exponents, index)
        return (sweep.log_norm, *sweep.slopes(wanted))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        leaves, exponents, ctx.index, ctx.wanted = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)  # no zeros for the slopes, which have no gradient
        ctx.save_for_backward(leaves, exponents, *output[1:])
        ctx.save_for_forward(leaves, exponents)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> Any:  # pyrefly: ignore
        if grad is None:  # a path of zeros, in second derivatives
            return None, None, None, None
        leaves, exponents, *slopes = ctx.saved_tensors
        needed = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # to be differentiated again
            slopes = _Sweep(leaves, exponents, ctx.index).slopes(needed)
        for_leaves, for_exponents = (
            (grad * slope).sum_to_size(x.shape).to(x.dtype) if n else None
            for x, slope, n in zip((leaves, exponents), slopes, needed, strict=True)
        )
        return for_leaves, for_exponents, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # pyrefly: ignore
        leaves, exponents = ctx.saved_tensors
        slopes = _Sweep(leaves, exponents, ctx.index).slopes((True, True))
        pairs = zip(slopes, tangents[:2], strict=True)
        along = [(slope * tangent).sum(0) for slope, tangent in pairs if tangent is not None]
        return sum(along), None, None


def _children(arrays: Sequence[Tensor], level: Level) -> Tensor:
    return level.children(arrays).unflatten(0, (-1, level.arity))


def log_subspace_norms(z: Tensor, exponents: Tensor, index: TreeIndex) -> Tensor:
    """The logarithms of the values of the root's children, on the first axis."""
    axes = max(z.dim(), exponents.dim())
    sweep = _Sweep(nodes_first(z, axes), nodes_first(exponents, axes), index)
    return index.levels[-1].children(sweep.logs)


def nodes_first(x: Tensor, axes: int) -> Tensor:
    """The last axis moved to the front, the others padded to `axes` in all, to align batches."""
    return x[(None,) * (axes - x.dim())].movedim(-1, 0)


def unsqueeze_batch(counts: Tensor, batch: torch.Size) -> Tensor:
    """Counts per node, with axes to broadcast against a batch."""
    return counts[(..., *[None] * len(batch))]


def log_surface(exponents: Tensor, index: TreeIndex) -> Tensor:
    """Log S_f(1), the log-surface of the unit sphere of f (Eq. 8)."""
    gammas = torch.lgamma(index.surface_counts / exponents.index_select(-1, index.surface_nodes))
    logs = (index.siblings * exponents.log()).sum(-1)
    return index.n * math.log(2) - logs + (index.surface_weights * gammas).sum(-1)


def log_gamma_draws(concentration: Tensor) -> Tensor:
    """Log G of G ~ Gamma(a, 1) without underflow: G_a = G_(a+1) U^(1/a).

    G of a = 1/100 is 0 in float32 four times out of ten, and its power 1/p is not.
    """
    u = 1 - torch.rand_like(concentration)  # in (0, 1]: its logarithm is finite
    return torch._standard_gamma(concentration + 1).log() + u.log() / concentration


def split_radius(log_radius: Tensor, exponents: Tensor, index: TreeIndex) -> Tensor:
    """Split radii down the tree by Dirichlet draws, and draw signs: leaves on the last axis."""
    shape = log_radius.shape
    p = nodes_first(exponents, len(shape) + 1)

    def split(log_values: Tensor, level: Level) -> Tensor:
        p_nodes = index_first(p, level.nodes).unsqueeze(1)
        concentration = unsqueeze_batch(level.child_counts, shape).to(p.dtype) / p_nodes
        log_gammas = log_gamma_draws(concentration.expand(-1, -1, *shape))
        shares = (log_gammas - torch.logsumexp(log_gammas, 1, keepdim=True)) / p_nodes
        return log_values.unsqueeze(1) + shares

    magnitudes = sweep_down(log_radius, index, split).exp().movedim(0, -1).contiguous()
    return torch.where(torch.rand_like(magnitudes) < 0.5, magnitudes, -magnitudes)


def log_moment(count: Tensor | int, p: Tensor, order: int = 2) -> Tensor:
    """Log E G^(order/p) of G ~ Gamma(count/p, 1)."""
    return torch.lgamma((count + order) / p) - torch.lgamma(count / p)


def log_leaf_moments(log_radius_moment: Tensor, exponents: Tensor, index: TreeIndex) -> Tensor:
    """Log E z_j² of every leaf, on the first axis, from that of the radius (batch shape).

    The radius' second moment times those of the Beta shares on the way down.
    """
    batch = log_radius_moment.shape
    p = nodes_first(exponents, len(batch) + 1)

    def split(log_values: Tensor, level: Level) -> Tensor:
        p_nodes = index_first(p, level.nodes)
        rest = log_values - log_moment(unsqueeze_batch(level.leaf_counts, batch), p_nodes)
        counts = unsqueeze_batch(level.child_counts, batch)
        return rest.unsqueeze(1) + log_moment(counts, p_nodes.unsqueeze(1))

    return sweep_down(log_radius_moment, index, split)
