"""Log-densities of the aggregate posterior, estimated from a minibatch, with gradients.

The M components of a minibatch stand for the aggregate posterior q(z) = 1/N Σ_n q(z|x_n). The joint
density, those of subspaces and the exact marginals are sums over all pairs of samples and
components. The marginals q(z_j) also have a fast form that is linear in the batch.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isavae.distributions.mixtures.ladder import GridWeights, Ladder, SumsOfNormals
from isavae.distributions.mixtures.pairs import (
    LogSumsOfSmallBatch,
    LogWeightedSums,
    QuadraticNormals,
)
from isavae.distributions.tree_index import working_dtype

_LOG_2PI = math.log(2 * math.pi)
# The cost of a grid point, in pairs; fewer than _SMALL² pairs are always cheaper.
_POINT_COST, _SMALL = 60, 256
# Pairs of all latents of a batch that are held at once: 8 MB of float32; on a GPU 512 MB, since
# one pass over all of them takes less time there than launching one for each block.
_PAIRS_AT_ONCE, _PAIRS_ON_GPU = 1 << 21, 1 << 27
# Points of the finest grid: the histograms of a larger one take more than 64 MB for one latent. And
# of the grids of latents that are computed together, whose histograms stay in the cache.
_FINEST, _LARGEST = 1 << 17, 1 << 15


@final
@dataclass(frozen=True)
class MinibatchWeights:
    """Weights of the components in the estimate of q(z_i): a default, and exceptions per sample.

    Attributes:
        default: Weight of every other component.
        components: The exceptional components of each sample.
        exceptions: Their weights.
    """

    default: float
    components: Int[Tensor, "batch exceptions"]
    exceptions: Float[Tensor, "batch exceptions"]

    @classmethod
    def weighted(cls, batch: int, n_data: int) -> "MinibatchWeights":
        """1 / (N M) for all: minibatch weighted sampling (Chen et al. 2018, C.1).

        Args:
            batch: M, the number of samples in the batch.
            n_data: N, the number of images of the data set.

        Raises:
            ValueError: For a batch or data of no sample.
        """
        if min(batch, n_data) < 1:
            raise ValueError(
                f"Weights need a batch and data of one or more samples, not {batch} and {n_data}: "
                "give the size of the batch and of the data set."
            )
        none = torch.empty(batch, 0, dtype=torch.float64)
        return cls(1 / (n_data * batch), none.long(), none)

    @classmethod
    def stratified(cls, batch: int, n_data: int) -> "MinibatchWeights":
        """Minibatch stratified sampling (Chen et al. 2018, C.2), unbiased for q(z_i).

        With M' = M - 1, sample i weighs its own component 1/N, one other (N - M') / (N M'), and
        the rest 1/M'.

        Args:
            batch: M, the number of samples in the batch.
            n_data: N, the number of images of the data set.

        Raises:
            ValueError: For a batch of one sample, which has no other component, or of more than
                N + 1, whose weights are negative.
        """
        _check_batch(batch, 2)
        if n_data < batch - 1:
            raise ValueError(
                f"Stratified weights of a batch of {batch} need {batch - 1} or more data, not "
                f"{n_data}: lower batch_size, or use the weighted estimator."
            )
        own = torch.arange(batch)
        components = torch.stack([own, (own + 1) % batch], dim=1)
        others = batch - 1
        pair = [1 / n_data, (n_data - others) / (n_data * others)]
        weights = torch.tensor(pair, dtype=torch.float64).expand(batch, 2)
        return cls(1 / others, components, weights)

    @classmethod
    def stratified_published(cls, batch: int, n_data: int) -> "MinibatchWeights":
        """The matrix of the published implementations, for comparison with their results.

        It gives the weights that belong to the diagonal and its neighbour to columns 0 and 1, and
        is therefore biased.

        Args:
            batch: M, the number of samples in the batch.
            n_data: N, the number of images of the data set.

        Raises:
            ValueError: For a batch of fewer than three samples.
        """
        _check_batch(batch, 3)
        right = cls.stratified(batch, n_data)
        own_weights = right.exceptions.new_full((batch, 1), right.default)
        weights = torch.cat([right.exceptions, own_weights], dim=1)
        weights[batch - 2, 0] = weights[batch - 2, 1]
        # The own component comes third, as usual; that of rows 0 and 1 is an exception already.
        own = torch.arange(batch).clamp_min(2)
        components = torch.stack([torch.zeros_like(own), torch.ones_like(own), own], dim=1)
        return cls(right.default, components, weights)

    def to(self, device: torch.device) -> "MinibatchWeights":
        """The same weights on a device."""
        exceptions = self.exceptions.to(device, working_dtype(device))
        return MinibatchWeights(self.default, self.components.to(device), exceptions)

    @property
    def log_exceptions(self) -> Float[Tensor, "batch exceptions"]:
        """The logarithms of the exceptions' ratios to the default."""
        return self.exceptions.log() - math.log(self.default)

    @property
    def logs(self) -> Float[Tensor, "batch components"]:
        """The logarithms of all weights."""
        batch = len(self.components)
        rows = self.exceptions.new_full((batch, batch), math.log(self.default))
        return rows.scatter_(1, self.components, self.exceptions.log())


def _check_batch(batch: int, least: int) -> None:
    if batch < least:
        raise ValueError(
            f"These stratified weights need a batch of {least} or more samples, not {batch}: raise "
            "batch_size, or use the weighted estimator."
        )


def log_densities(
    z: Float[Tensor, "batch latents"],
    mean: Float[Tensor, "batch latents"],
    std: Float[Tensor, "batch latents"],
    weights: MinibatchWeights,
    groups: Sequence[slice],
) -> Float[Tensor, "batch groups"]:
    """Log Σ_m w_im q(z_i|x_m) for groups of latents (Chen et al. 2018, C.1), in blocks of pairs.

    One group of all latents gives log q(z), the subspaces of a tree give theirs, and single latents
    give the exact marginals. Memory is bounded: backward recomputes each block. Values are within
    1e-3 nats where every std is above a millionth of the range of the means; below, squares cancel.

    Args:
        z: One sample of each component's posterior.
        mean: Means of the components.
        std: Standard deviations of the components.
        weights: Weights of the components.
        groups: Latents of each group.

    Returns:
        Log-densities in nats.

    Raises:
        ValueError: If the shapes of the samples, means, stds and weights do not fit together.

    Examples:
        >>> z, weights = torch.zeros(2, 3), MinibatchWeights.weighted(batch=2, n_data=1)
        >>> log_densities(z, z, torch.ones(2, 3), weights, [slice(0, 3)])  # -3/2 log 2π
        tensor([[-2.7568],
                [-2.7568]])
    """
    z = _checked(z, mean, std, weights)
    columns, dtype = [], working_dtype(z.device)
    exceptions = weights.components, weights.log_exceptions.to(z.device, dtype)
    for (size, _), some in groupby(enumerate(groups), _size_and_offset):
        adjacent = [group for _, group in some]
        latents = slice(adjacent[0].start, adjacent[-1].stop)
        x, means, stds = (
            a[:, latents].unflatten(1, (-1, size)).movedim(1, 0).contiguous()
            for a in (z, mean, std)
        )
        normals = QuadraticNormals.from_normals(means, stds, dtype)
        sample = normals.features(x)
        columns.append(LogWeightedSums.apply(sample, normals.coefficients, *exceptions))
    return (torch.cat(columns) + math.log(weights.default)).T.to(z.dtype)


def _checked(z: Tensor, mean: Tensor, std: Tensor, weights: MinibatchWeights) -> Tensor:
    """The samples, no longer as integers; a ValueError if shapes do not fit together."""
    if z.dim() != 2 or not z.shape == mean.shape == std.shape or len(z) != len(weights.components):
        shapes = ", ".join(str(tuple(a.shape)) for a in (z, mean, std))
        raise ValueError(
            "Samples, means and stds must have one shape, (batch, latents), and weights for that "
            f"batch, not {shapes} and weights for {len(weights.components)}: make the weights from "
            "the batch's size."
        )
    return z.to(torch.promote_types(z.dtype, std.dtype))


def _size_and_offset(numbered: tuple[int, slice]) -> tuple[int, int]:
    """The same for neighbouring groups of one size, which are computed at once."""
    number, group = numbered
    size = group.stop - group.start
    return size, group.start - number * size


def log_joint_and_marginals(
    z: Float[Tensor, "batch latents"],
    mean: Float[Tensor, "batch latents"],
    std: Float[Tensor, "batch latents"],
    weights: MinibatchWeights,
    *,
    exact: bool = False,
) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch latents"]]:
    """Log Σ_m w_im q(z_i|x_m) over all latents, and for each as `log_marginals` gives it.

    Args:
        z: One sample of each component's posterior.
        mean: Means of the components.
        std: Standard deviations of the components.
        weights: Weights of the components.
        exact: Sum over all pairs for the marginals, too.

    Returns:
        Log-densities in nats.
    """
    z = _checked(z, mean, std, weights)
    batch, latents = z.shape
    if _holds_all_pairs(batch, latents, z.device):
        dtype = torch.promote_types(z.dtype, torch.float32)
        inputs = (a.to(z.device, dtype) for a in (z, mean, std, weights.logs))
        joint, marginals = LogSumsOfSmallBatch.apply(*inputs)
        return joint.to(z.dtype), marginals.to(z.dtype)
    joint = log_densities(z, mean, std, weights, [slice(0, latents)])[:, 0]
    return joint, log_marginals(z, mean, std, weights, exact=exact)


def _holds_all_pairs(batch: int, latents: int, device: torch.device) -> bool:
    pairs = batch * batch * latents
    if device.type == "cpu":
        return batch <= _SMALL and pairs <= _PAIRS_AT_ONCE
    return pairs <= _PAIRS_ON_GPU


def log_marginals(
    z: Float[Tensor, "batch latents"],
    mean: Float[Tensor, "batch latents"],
    std: Float[Tensor, "batch latents"],
    weights: MinibatchWeights,
    *,
    exact: bool = False,
) -> Float[Tensor, "batch latents"]:
    """Log Σ_m w_im q(z_ij|x_m) for every latent j, in time linear in the batch.

    Values are within 1e-3 nats up to 4.4 standard deviations from a component's mean (1e-2 at 5.2),
    and gradients of a batch within 1e-3 (relative norm) of the exact ones. Latents for which pairs
    cost no more are computed as by `log_densities`. On a GPU all are, since pairs are fast there,
    and choosing a grid would wait for the device.

    Args:
        z: One sample of each component's posterior.
        mean: Means of the components.
        std: Standard deviations of the components.
        weights: Weights of the components.
        exact: Sum over all pairs.

    Returns:
        Log-densities in nats.
    """
    z = _checked(z, mean, std, weights)
    if exact or z.device.type != "cpu" or not _fits_grids(z, mean, std):
        return _pair_log_marginals(z, mean, std, weights)
    ladder = Ladder.covering(*(a.detach().double().T for a in (z, mean, std)))
    parts, order = [], []
    for members, by_pairs in _shares([sizes[0] for sizes in ladder.grids.sizes], len(z)):
        x, means, stds = (a[:, members] for a in (z, mean, std))
        parts.append(
            _pair_log_marginals(x, means, stds, weights)
            if by_pairs
            else _fast_log_marginals(x, means, stds, weights, ladder.part(members))
        )
        order += members
    return torch.cat(parts, dim=1)[:, torch.tensor(order).argsort()]


def _shares(sizes: list[int], batch: int) -> Iterator[tuple[list[int], bool]]:
    """Latents to compute together, and whether by pairs, from the sizes of their finest grids."""
    pairs = [j for j, size in enumerate(sizes) if _pairs_are_cheaper(batch, size)]
    if pairs:
        yield pairs, True
    share: list[int] = []
    for j in (j for j in range(len(sizes)) if j not in pairs):
        if share and sum(sizes[i] for i in share) + sizes[j] > _LARGEST:
            yield share, False
            share = []
        share.append(j)
    if share:
        yield share, False


def _pair_log_marginals(z: Tensor, mean: Tensor, std: Tensor, weights: MinibatchWeights) -> Tensor:
    return log_densities(z, mean, std, weights, [slice(j, j + 1) for j in range(z.shape[1])])


@torch.no_grad()
def _fits_grids(z: Tensor, mean: Tensor, std: Tensor) -> bool:
    """Whether grids can cover samples and normals; pairs pass NaN and infinity on to the loss."""
    finite = all(bool(values.isfinite().all()) for values in (z, mean, std))
    return finite and bool((std > 0).all())


def _pairs_are_cheaper(batch: int, size: int) -> bool:
    """Whether all pairs of one latent cost less than its grid, or no grid is fine enough."""
    if size > _FINEST and batch > _SMALL:
        _warn_of_pairs()
    return size > _FINEST or batch * batch < _POINT_COST * size + _SMALL**2


@cache
def _warn_of_pairs() -> None:
    warnings.warn(
        "the narrowest posterior of a latent needs too fine a grid: its marginal density is a sum "
        "over all pairs of the batch, which is exact and slower",
        stacklevel=2,
    )


def _fast_log_marginals(
    z: Tensor, mean: Tensor, std: Tensor, weights: MinibatchWeights, ladder: Ladder
) -> Tensor:
    x, mean, std = (a.double().T.contiguous() for a in (z, mean, std))
    sums = SumsOfNormals.apply(x, mean, std, ladder)
    if not weights.components.numel():
        # A sum is at least any of its terms; far out the grids' error may be more than all of it.
        sums = torch.maximum(sums, _normal(x - mean, std))
        return (weights.default * sums).log().T.to(z.dtype)
    weights_on_grid = GridWeights.from_normals(ladder, mean, std)
    exceptional = torch.zeros_like(sums)
    for e, weight in zip(weights.components.T, weights.exceptions.T, strict=True):
        deviation = x - mean[:, e]
        exceptional = exceptional + weight * _normal(deviation, std[:, e])
        # The exceptions are taken out of the sum as the grids hold them: where they dominate the
        # sum, the rest would drown in their error.
        sums = sums - weights_on_grid.at(deviation, e)
    density = weights.default * sums.clamp_min(0) + exceptional
    return density.log().T.to(z.dtype)


def _normal(deviation: Tensor, std: Tensor) -> Tensor:
    """Densities of normals at deviations from their means."""
    return torch.exp(-(deviation / std).square() / 2 - std.log() - _LOG_2PI / 2)
