"""Exact entropies of one-dimensional mixtures 1/N Σ_n N(z_j; μ_n, σ_n²).

They are those of the marginals of an aggregate posterior q(z), whole or given a class.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isavae.distributions.mixtures.spectra import SpectralGrid, UnresolvedMixtureError

# The mass of a normal beyond this many stds from its mean is below 1e-11.
_TAIL = 7.0
# Largest histogram at once, in float64 numbers (32 MB).
_BUDGET = 1 << 22
# Ranges in units of the narrowest std: beyond the first, gaps between components are closed; the
# second is the limit of memory.
_CROWDED, _FINEST = 1 << 13, 1 << 19


def marginal_entropies(
    mean: Float[Tensor, "n latents"], log_std: Float[Tensor, "n latents"]
) -> Float[Tensor, " latents"]:
    """Entropies H(z_j) of mixtures of one-dimensional normals.

    Exact to 1e-4 nats in O(n + G log G) per latent, G the grid points for the narrowest component.

    Args:
        mean: Component means.
        log_std: Logarithms of the components' stds.

    Returns:
        Entropies in nats, float64.

    Raises:
        ValueError: If there is no component, or a mean or log-std is not finite.
        UnresolvedMixtureError: If the range of a latent's components is more than 2^19 times the
            narrowest std, even without the gaps between components.

    Examples:
        >>> mean, log_std = torch.zeros(3, 2), torch.tensor([[0.0, 1.0]]).expand(3, 2)
        >>> marginal_entropies(mean, log_std)  # log sqrt(2πe), and one more
        tensor([1.4189, 2.4189], dtype=torch.float64)
    """
    whole = torch.zeros(len(mean), dtype=torch.int64)
    return conditional_entropies(mean, log_std, [(whole, 1)])[0][0]


def least_stds(
    mean: Float[Tensor, "n latents"], log_std: Float[Tensor, "n latents"]
) -> Float[Tensor, " latents"]:
    """The least std at which `marginal_entropies` resolves a latent; 0 where it does already.

    An image unlike all others can be coded a million times finer than they are. A least std of
    2^-18 of the latent's range adds noise to such posteriors, so that their information can only
    decrease.

    Args:
        mean: Component means.
        log_std: Logarithms of the components' stds.

    Raises:
        ValueError: If there is no component, or a mean or log-std is not finite.

    Examples:
        >>> mean = torch.linspace(-1, 1, 100_001)[:, None]
        >>> print(f"{float(least_stds(mean, torch.full_like(mean, -15.0))):.1e}")
        7.6e-06
    """
    _check(mean, log_std)
    least = mean.new_zeros(mean.shape[1], dtype=torch.float64)
    for j, (m, s) in enumerate(zip(mean.detach().T, log_std.detach().T, strict=True)):
        m, s = m.double(), s.double().exp()
        if _resolved(m, s) is None:
            least[j] = max(2 * _range(m, s) / _FINEST, 2 * float(_spacing(m)))
    return least


def conditional_entropies(
    mean: Float[Tensor, "n latents"],
    log_std: Float[Tensor, "n latents"],
    partitions: Sequence[tuple[Int[Tensor, " n"], int]],
) -> list[Float[Tensor, "labels latents"]]:
    """Entropies H(z_j | label) for several partitions of the components, as `marginal_entropies`.

    Args:
        mean: Component means.
        log_std: Logarithms of the components' stds.
        partitions: Pairs of the label of each component, -1 for none, and the number of labels. A
            label without components has the entropy nan.

    Raises:
        ValueError: If there is no component, a mean or log-std is not finite, or the labels of a
            partition are not one of -1, 0, … for each component.
        UnresolvedMixtureError: As `marginal_entropies`.
    """
    _check(mean, log_std)
    for labels, n_labels in partitions:
        if labels.shape != mean.shape[:1] or not -1 <= labels.min() <= labels.max() < n_labels:
            raise ValueError(
                f"A partition must have a label of -1..{n_labels - 1} for each of {len(mean)} "
                f"components, not the shape {tuple(labels.shape)} and labels from "
                f"{labels.min()} to {labels.max()}: number them from 0, -1 for none."
            )
    columns = zip(mean.detach().T, log_std.detach().T, strict=True)
    latents = [_entropies(m.double(), s.double().exp(), partitions) for m, s in columns]
    return [torch.stack(entropies, dim=-1) for entropies in zip(*latents, strict=True)]


def _check(mean: Tensor, log_std: Tensor) -> None:
    """Refuse what is not a mixture of at least one component."""
    if mean.dim() != 2 or len(mean) == 0 or log_std.shape != mean.shape:
        raise ValueError(
            "Means and log-stds must have one shape, (components, latents), with at least one "
            f"component, not {tuple(mean.shape)} and {tuple(log_std.shape)}: pass codes."
        )
    if not (torch.isfinite(mean).all() and torch.isfinite(log_std).all()):
        raise ValueError(
            "Means and log-stds must be finite, not NaN or infinite: drop the codes that are not."
        )


def _entropies(
    mean: Float[Tensor, " n"],
    std: Float[Tensor, " n"],
    partitions: Sequence[tuple[Int[Tensor, " n"], int]],
) -> list[Float[Tensor, " labels"]]:
    """The entropies of one latent for every partition."""
    resolved = _resolved(mean, std)
    if resolved is None:
        raise UnresolvedMixtureError(
            f"The components must span less than {_FINEST} of their narrowest std, and that be "
            "above the rounding of their means, not "
            f"{_resolution(_crowded(mean, std), std):.3g} of {float(std.min()):.3g} as in one "
            "latent: raise the smallest log_std."
        )
    mean = resolved
    low = (mean - _TAIL * std).min()
    period = (mean + _TAIL * std).max() - low
    grid = SpectralGrid.spanning(float(std.min() / period), float(std.max() / period))
    cell, offset, excess = grid.place((mean - low) / period, std / period)
    moments = grid.moments(offset, excess)
    return [
        torch.cat([torch.special.entr(p.clamp_min(0)).mean(-1) for p in densities]) + period.log()
        for densities in (_densities(grid, cell, moments, *p) for p in partitions)
    ]


def _resolution(mean: Float[Tensor, " n"], std: Float[Tensor, " n"]) -> float:
    """The range of all components in units of the narrowest std."""
    return float(_range(mean, std) / std.min())


def _range(mean: Float[Tensor, " n"], std: Float[Tensor, " n"]) -> float:
    return float((mean + _TAIL * std).max() - (mean - _TAIL * std).min())


def _spacing(mean: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The rounding of the means: stds below it are lost in sums with them."""
    return mean.abs().max() * torch.finfo(mean.dtype).eps


def _resolved(mean: Float[Tensor, " n"], std: Float[Tensor, " n"]) -> Float[Tensor, " n"] | None:
    """The means without wide gaps; None if neither numbers nor a grid tell the components apart."""
    crowded = _crowded(mean, std)
    told = bool(std.min() >= _spacing(mean)) and _resolution(crowded, std) <= _FINEST
    return crowded if told else None


def _crowded(mean: Float[Tensor, " n"], std: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The means, without the gaps between components if these are many stds apart."""
    return _without_gaps(mean, std) if _resolution(mean, std) > _CROWDED else mean


def _without_gaps(mean: Float[Tensor, " n"], std: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Close the gaps between components that do not overlap; entropies stay the same."""
    low, order = (mean - _TAIL * std).sort()
    reached = (mean + _TAIL * std)[order].cummax(0).values
    gaps = torch.zeros_like(mean)
    gaps[1:] = (low[1:] - reached[:-1]).clamp_min(0)
    closed = torch.empty_like(mean)
    closed[order] = mean[order] - gaps.cumsum(0)
    return closed


def _densities(
    grid: SpectralGrid,
    cell: Int[Tensor, " n"],
    moments: list[Float[Tensor, " n"]],
    labels: Int[Tensor, " n"],
    n_labels: int,
) -> Iterator[Float[Tensor, "labels size"]]:
    """Yield the mixtures' densities per period, a few labels at a time to bound the memory."""
    step = max(1, _BUDGET // grid.cells)
    for first in range(0, n_labels, step):
        count = min(step, n_labels - first)
        rows = (labels >= first) & (labels < first + count)
        index, values = (labels - first) * grid.cells + cell, moments
        if not rows.all():
            index, values = index[rows], [moment[rows] for moment in moments]
        spectrum = grid.spectrum(index, values, count)
        yield grid.density(spectrum / spectrum[:, :1].real)
