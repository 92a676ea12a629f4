"""Mutual information of latents in bins: of posterior means, or of z quantised on a fixed range."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isavae.metrics.codes import Codes
from isavae.metrics.factor_classes import Factor
from isavae.metrics.mutual_information import Information, factor_columns, information_from

# Nats below which an information from a table is the rounding of its entropies, sums of up to some
# thousand terms: a constant latent would otherwise be informative, with 1e-16 nats.
_ROUNDING = 1e-12
ROWS_AT_ONCE = 1 << 9  # of bin probabilities: 512 rows x 20 latents x 100 bins float32 = 4 MB


def binned_information(
    codes: Codes, factors: Sequence[str] | None = None, bins: int = 20
) -> Information:
    """I(z_j; v_k) of the posterior means in equal bins between their least and largest value.

    The discretiser of Locatello et al. (2019), whose code bins 10,000 sampled means; here all of
    the codes are binned. The estimate is biased upwards by about (bins - 1)(classes - 1) / 2N nats.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent, two or more.

    Raises:
        ValueError: For fewer than two bins.
    """
    binned = bin_means(codes.mean, bins)
    columns = factor_columns(codes, factors)
    tables = [_counts(binned, bins, column) for column in columns]
    return information_from(columns, *_table_entropies(tables))


def quantised_information(
    codes: Codes, factors: Sequence[str] | None = None, bins: int = 100, limit: float = 4.0
) -> Information:
    """I(z_j; v_k) of z_j ~ q(z_j | x) in equal bins of [-limit, limit], the outer ones open.

    The definition of Do and Tran (2020): a bin's probability given an image is the posterior's mass
    in it, so noise counts as noise. Deterministic codes fall into one bin each.

    Args:
        codes: Codes, best with unit aggregate variance (the bins do not adapt to the scale).
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent, two or more.
        limit: Where the bins end.

    Raises:
        ValueError: For fewer than two bins, or a limit that is not positive and finite.
    """
    check_bins(bins)
    if not 0 < limit < math.inf:
        raise ValueError(
            f"`limit` must be positive and finite, but is {limit}: 4 is right for latents of unit "
            "variance."
        )
    columns = factor_columns(codes, factors)
    sums = [torch.zeros(len(c.counts), codes.latents * (bins - 1)).double() for c in columns]
    for rows, below in _edge_probabilities(codes, bins, limit):
        for column, total in zip(columns, sums, strict=True):
            classes = torch.arange(len(column.counts))
            member = (column.labels[rows] == classes[:, None]).to(below.dtype)
            total += member @ below
    tables = [
        _bin_masses(total.view(-1, codes.latents, bins - 1), column)
        for column, total in zip(columns, sums, strict=True)
    ]
    return information_from(columns, *_table_entropies(tables))


def bin_means(mean: Float[Tensor, "n latents"], bins: int) -> Int64[Tensor, "latents n"]:
    """Bin of every mean, in 0..bins-1: equal widths between each latent's least and largest value.

    Edges and ties are those of `numpy.histogram` in double precision; a constant latent falls into
    one bin.
    """
    check_bins(bins)
    columns = []
    for column in mean.double().T.contiguous():
        low, high = column.min(), column.max()
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        edges = torch.from_numpy(np.linspace(float(low), float(high), bins + 1)[1:-1])
        columns.append(torch.bucketize(column, edges, right=True))
    return torch.stack(columns)


def check_bins(bins: int) -> None:
    """Refuse fewer than two bins.

    Raises:
        ValueError: For fewer than two.
    """
    if bins < 2:
        raise ValueError(f"`bins` must be 2 or more, but is {bins}: 20 and 100 are customary.")


def pairwise_information(
    labels: Int64[Tensor, "latents n"], bins: int
) -> Float[Tensor, "latents latents"]:
    """Mutual information, in nats, of every pair of binned latents; entropies on the diagonal."""
    counts = torch.full((bins,), len(labels[0]))  # only their number counts here
    tables = [_counts(labels, bins, Factor("", column, counts)) for column in labels]
    before, after = _table_entropies(tables)
    return torch.stack(before, dim=1) - torch.stack(after, dim=1)


def _counts(
    binned: Int64[Tensor, "latents n"], bins: int, factor: Factor
) -> Float[Tensor, "latents bins classes"]:
    """How many images with a known class fall into each bin."""
    classes = len(factor.counts)
    known = factor.labels >= 0
    cells = [(column * classes + factor.labels)[known] for column in binned]
    counts = [torch.bincount(cell, minlength=bins * classes) for cell in cells]
    return torch.stack(counts).view(-1, bins, classes).double()


def _table_entropies(
    tables: list[Float[Tensor, "latents bins _"]],
) -> tuple[list[Float[Tensor, "latents"]], list[Float[Tensor, "latents"]]]:
    """H(bin) and H(bin | class) from (unnormalised) joint probabilities of bins and classes.

    They are equal where they differ by rounding only: independent bins have no information at all.
    """
    before, after = [], []
    for table in tables:
        joint = table / table.sum(dim=(1, 2), keepdim=True)
        of_classes = torch.special.entr(joint.sum(dim=1)).sum(dim=1)
        whole = torch.special.entr(joint.sum(dim=2)).sum(dim=1)
        given = torch.special.entr(joint).sum(dim=(1, 2)) - of_classes
        before.append(whole)
        after.append(torch.where(whole - given < _ROUNDING, whole, given))
    return before, after


def _bin_masses(
    below: Float[Tensor, "classes latents edges"], factor: Factor
) -> Float[Tensor, "latents bins classes"]:
    """Joint probabilities of bins and classes from each class's sum of P(z_j < edge)."""
    below = below / factor.counts[:, None, None]
    padded = torch.nn.functional.pad(torch.nn.functional.pad(below, (1, 0)), (0, 1), value=1.0)
    mass = padded.diff(dim=2).clamp_min(0) * factor.weights[:, None, None]
    return mass.permute(1, 2, 0)


def _edge_probabilities(
    codes: Codes, bins: int, limit: float
) -> Iterator[tuple[slice, Float[Tensor, "rows latents_edges"]]]:
    """P(z_j < edge | x_n) at every inner edge, a block of images at a time."""
    edges = torch.linspace(-limit, limit, bins + 1, dtype=codes.mean.dtype)[1:-1]
    for start in range(0, len(codes), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        mean = codes.mean[rows, :, None]
        if codes.log_std is None:
            below = (mean < edges).to(mean.dtype)
        else:
            scale = torch.exp(-codes.log_std[rows, :, None]) * math.sqrt(0.5)
            below = torch.addcmul(-mean * scale, scale, edges).erf_().add_(1.0).mul_(0.5)
        yield rows, below.flatten(1)
