"""Log q(z) of the whole mixture for several latents at once, in blocks of matrix products."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isavae.metrics.codes import Codes, NotApplicable

# A block of sample x component densities: 4 MB of float64, so that it stays in the cache.
SAMPLES_AT_ONCE, COMPONENTS_AT_ONCE = 256, 2048


def draw(
    codes: Codes, samples: int, seed: int, among: Int64[Tensor, "rows"] | None = None
) -> tuple[Int64[Tensor, "samples"], Float[Tensor, "samples latents"]]:
    """Independent draws z ~ q(z), and the rows whose posteriors they came from.

    Args:
        codes: Codes with posterior standard deviations.
        samples: Number of draws.
        seed: Of rows and noise.
        among: Rows to draw from, with replacement; by default all.
    """
    generator = torch.Generator().manual_seed(seed)
    size = len(codes) if among is None else len(among)
    rows = torch.randint(size, (samples,), generator=generator)
    rows = rows if among is None else among[rows]
    mean, log_std = codes.posteriors()
    return rows, Codes(mean[rows].double(), log_std[rows].double()).sample(generator)


def log_posterior(
    codes: Codes,
    rows: Int64[Tensor, "samples"],
    z: Float[Tensor, "samples latents"],
    latents: Sequence[int],
) -> Float[Tensor, "samples"]:
    """Log q(z_S | x_n) of each draw under its own posterior, summed over some latents."""
    mean, log_std = (values[rows][:, latents].double() for values in codes.posteriors())
    squares = ((z[:, latents] - mean) / log_std.exp()).square()
    return -(0.5 * squares + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=1)


def components(codes: Codes, latents: Sequence[int]) -> Float[Tensor, "n features"]:
    """Coefficients c_n with log N(z; mean_n, std_n) = [z^2, z, 1] . c_n, summed over some latents.

    In float64: the squares cancel, by a factor of (mean / std)^2.
    """
    mean, log_std = (values[:, latents].double() for values in codes.posteriors())
    precision = torch.exp(-2 * log_std)
    scaled = mean * precision
    constant = -(0.5 * mean * scaled + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=1)
    return torch.cat([-0.5 * precision, scaled, constant[:, None]], dim=1)


def log_mixture(
    z: Float[Tensor, "samples latents"],
    components: Float[Tensor, "n features"],
    reference: Float[Tensor, "samples"],
) -> Float[Tensor, "samples"]:
    """Log 1/N sum_n N(z; mean_n, std_n).

    Args:
        z: Where.
        components: Their coefficients, from `components`.
        reference: A log-density near the largest component's at each z, such as that of the
            component that z was drawn from; it replaces a search for the largest.

    Raises:
        ValueError: If a component is more than e^700 times as dense as the reference.
    """
    total = torch.zeros(len(z), dtype=torch.float64)
    for start in range(0, len(z), SAMPLES_AT_ONCE):
        some = slice(start, start + SAMPLES_AT_ONCE)
        features = torch.cat([z[some] ** 2, z[some], torch.ones(len(z[some]), 1)], dim=1).double()
        shift = -reference[some, None]
        for block in components.split(COMPONENTS_AT_ONCE):
            total[some] += torch.addmm(shift, features, block.T).exp_().sum(dim=1)
    if not torch.isfinite(total).all():
        raise NotApplicable(
            "log q(z) needs posteriors of comparable widths, but one is more than e^700 times as "
            "dense as another: look for latents with vanishing standard deviations."
        )
    return reference + total.log() - math.log(len(components))
