"""Mutual information of latents: I(x; z_j) with the image, I(z_j; v_k) with factors (3 ways)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isavae.distributions import conditional_entropies, least_stds, marginal_entropies
from isavae.metrics.codes import Codes, Factor

# Nats about the image below which a latent counts as unused: a normal latent then has a correlation
# below 0.31 with its posterior mean and matches no latent of another seed, so it would dilute UDR.
# The published UDR compares KL(q(z_j|x) || N(0, 1)), an upper bound of I(x; z_j), with 0.01.
MIN_INFORMATION = 0.05
# Nats below which an information from a table is the rounding of its entropies, sums of up to some
# thousand terms: a constant latent would otherwise be informative, with 1e-16 nats.
_ROUNDING = 1e-12
ROWS_AT_ONCE = 1 << 9  # of bin probabilities: 512 rows x 20 latents x 100 bins float32 = 4 MB


@final
@dataclass(frozen=True, eq=False)
class Information:
    """Mutual information of each row (a latent or a subspace) with each factor, in nats.

    Args:
        mutual: I(z_j; v_k), over the images whose v_k is known.
        factor_entropies: H(v_k) of the empirical distribution of classes.
        factors: Names of the columns.
        conditional_entropies: H(z_j | v_k), where it was computed; differential for continuous z_j.
        standard_errors: Of `mutual`, where it was sampled.
        least_stds: The least std of each latent whose narrowest posteriors were widened to it,
            because no grid resolves them (`distributions.least_stds`).
    """

    mutual: Float[Tensor, "rows factors"]
    factor_entropies: Float[Tensor, "factors"]
    factors: tuple[str, ...]
    conditional_entropies: Float[Tensor, "rows factors"] | None = None
    standard_errors: Float[Tensor, "rows factors"] | None = None
    least_stds: Mapping[int, float] = field(default_factory=dict)

    @property
    def normalized(self) -> Float[Tensor, "rows factors"]:
        """I(z_j; v_k) / H(v_k): the share of a factor's entropy that a row carries, in [0, 1]."""
        return self.mutual / self.factor_entropies

    @property
    def exactness(self) -> dict[str, object]:
        """The parameters of a score of exact information: which latents were widened, if any."""
        return {"information": "exact"} | named_stds(self.least_stds)

    def by_factor(self, values: Float[Tensor, "factors"]) -> dict[str, float]:
        """Values by factor name."""
        return dict(zip(self.factors, values.tolist(), strict=True))


def named_stds(least: Mapping[int, float]) -> dict[str, object]:
    """The note in a score's parameters that posteriors of some latents were widened; else empty."""
    return {"least_stds": {f"latent_{j}": std for j, std in least.items()}} if least else {}


def latent_information(codes: Codes) -> Float[Tensor, "latents"]:
    """I(x; z_j) = H(z_j) - H(z_j | x) of every latent, in nats, whatever the prior.

    x is one of the N images of the codes, so the information is at most log N. Posteriors too
    narrow for an exact entropy are widened to `distributions.least_stds`.

    Args:
        codes: Codes with posterior standard deviations.

    Raises:
        ValueError: If the codes are deterministic.

    Examples:
        >>> latent_information(Codes(torch.tensor([[0.0, -9.0], [0.0, 9.0]]), torch.zeros(2, 2)))
        tensor([0.0000, 0.6931], dtype=torch.float64)
    """
    mean, log_std, _ = resolved_posteriors(codes)
    given_image = log_std.double().mean(dim=0) + 0.5 * math.log(2 * math.pi * math.e)
    return (marginal_entropies(mean, log_std) - given_image).clamp_min(0)  # rounding


def exact_information(codes: Codes, factors: Sequence[str] | None = None) -> Information:
    """I(z_j; v_k) = H(z_j) - E_v H(z_j | v) for z_j ~ 1/N sum_n q(z_j | x_n), without sampling.

    Every entropy is that of a one-dimensional mixture of normals, to 1e-4 nats. Posteriors too
    narrow for that are widened; see `least_stds` of the result.

    Args:
        codes: Codes with posterior standard deviations.
        factors: Names; by default the grid's scored factors.

    Raises:
        ValueError: If the codes are deterministic (their differential entropies are -inf).
    """
    mean, log_std, least = resolved_posteriors(codes)
    columns = factor_columns(codes, factors)
    known = [column.labels.clamp(max=0) for column in columns]
    keys = [mask.numpy().tobytes() for mask in known]
    whole = dict(zip(keys, known, strict=True))  # factors known for the same images share H(z_j)
    classes = [(column.labels, len(column.counts)) for column in columns]
    partitions = [(mask, 1) for mask in whole.values()] + classes
    found = conditional_entropies(mean, log_std, partitions)
    entropies = {key: found[i][0] for i, key in enumerate(whole)}
    given = [c.weights @ h for c, h in zip(columns, found[len(whole) :], strict=True)]
    return _information(columns, [entropies[key] for key in keys], given, least)


def resolved_posteriors(
    codes: Codes,
) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"], dict[int, float]]:
    """Means, log-stds that exact entropies resolve, and the least std of latents that needed one.

    Raises:
        NotApplicable: If the codes are deterministic.
    """
    mean, log_std = codes.posteriors()
    least = least_stds(mean, log_std)
    raised = {j: float(least[j]) for j in torch.nonzero(least)[:, 0].tolist()}
    return mean, torch.maximum(log_std, least.log().to(log_std.dtype)), raised


def binned_information(
    codes: Codes, factors: Sequence[str] | None = None, bins: int = 20
) -> Information:
    """I(z_j; v_k) of the posterior means in equal bins between their least and largest value.

    The discretiser of Locatello et al. (2019), whose code bins 10,000 sampled means; here all of
    the codes are binned. The estimate is biased upwards by about (bins - 1)(classes - 1) / 2N nats.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent.
    """
    binned = bin_means(codes.mean, bins)
    columns = factor_columns(codes, factors)
    tables = [_counts(binned, bins, column) for column in columns]
    return _information(columns, *_table_entropies(tables))


def quantised_information(
    codes: Codes, factors: Sequence[str] | None = None, bins: int = 100, limit: float = 4.0
) -> Information:
    """I(z_j; v_k) of z_j ~ q(z_j | x) in equal bins of [-limit, limit], the outer ones open.

    The definition of Do and Tran (2020): a bin's probability given an image is the posterior's mass
    in it, so noise counts as noise. Deterministic codes fall into one bin each.

    Args:
        codes: Codes, best with unit aggregate variance (the bins do not adapt to the scale).
        factors: Names; by default the grid's scored factors.
        bins: Number of bins for each latent.
        limit: Where the bins end.
    """
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
    return _information(columns, *_table_entropies(tables))


def bin_means(mean: Float[Tensor, "n latents"], bins: int) -> Int64[Tensor, "latents n"]:
    """Bin of every mean, in 0..bins-1: equal widths between each latent's least and largest value.

    Edges and ties are those of `numpy.histogram` in double precision; a constant latent falls into
    one bin.
    """
    columns = []
    for column in mean.double().T.contiguous():
        low, high = column.min(), column.max()
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        edges = torch.from_numpy(np.linspace(float(low), float(high), bins + 1)[1:-1])
        columns.append(torch.bucketize(column, edges, right=True))
    return torch.stack(columns)


def pairwise_information(
    labels: Int64[Tensor, "latents n"], bins: int
) -> Float[Tensor, "latents latents"]:
    """Mutual information, in nats, of every pair of binned latents; entropies on the diagonal."""
    counts = torch.full((bins,), len(labels[0]))  # only their number counts here
    tables = [_counts(labels, bins, Factor("", column, counts)) for column in labels]
    before, after = _table_entropies(tables)
    return torch.stack(before, dim=1) - torch.stack(after, dim=1)


def factor_columns(codes: Codes, factors: Sequence[str] | None) -> list[Factor]:
    """Labels of the factors that a score averages over."""
    return [codes.factor(name) for name in codes.factor_names(factors)]


def information_about(
    columns: list[Factor], mutual: Float[Tensor, "rows factors"], **others: Any
) -> Information:
    """`Information` about some factors; `others` are its optional fields."""
    entropies = torch.tensor([column.entropy for column in columns], dtype=torch.float64)
    return Information(mutual, entropies, tuple(column.name for column in columns), **others)


def _information(
    columns: list[Factor],
    before: list[Tensor],
    after: list[Tensor],
    least: Mapping[int, float] | None = None,
) -> Information:
    """From H(z_j) and H(z_j | v_k) for each factor."""
    given = torch.stack(after, dim=1)
    mutual = torch.stack(before, dim=1) - given
    return information_about(columns, mutual, conditional_entropies=given, least_stds=least or {})


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
