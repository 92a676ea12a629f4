"""Diagnostics of a prior: rotational asymmetry, and dependence between subspaces.

The paper claims that an ISA prior aligns latents with axes inside a subspace. Then a rotation of z
within a subspace must lower log p(z). If all exponents are 2, it changes nothing.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from isavae.distributions.lp_nested import LpNested

_SAMPLES = 20_000


def rotation_curve(
    distribution: Distribution,
    axes: tuple[int, int],
    angles: Float[Tensor, " angles"],
    z: Float[Tensor, "samples n"] | None = None,
) -> Float[Tensor, " angles"]:
    """The drop of E log p(z), in nats, when z is rotated in the plane of two latents.

    Args:
        distribution: Any single distribution over vectors.
        axes: The two latents, from 0.
        angles: Angles of rotation, in radians.
        z: Codes to rotate; by default 20,000 samples, for which the drop is the Kullback-Leibler
            divergence between the distribution and its rotated copy.

    Raises:
        ValueError: If the axes are not two of the latents, for a batch of distributions, or for
            codes that are not a matrix.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> prior, angles = LpNested("2[1*2, 1*2]"), torch.tensor([0.0, math.pi / 4, math.pi / 2])
        >>> [round(nats, 1) for nats in rotation_curve(prior, (0, 1), angles).tolist()]
        [0.0, 0.2, 0.0]
    """
    z = _codes(distribution, z)
    if len({*axes}) != 2 or not {*axes} <= {*range(z.shape[1])}:
        raise ValueError(
            f"The axes must be two different latents below {z.shape[1]}, not {axes}: count from 0."
        )
    i, j = axes
    before = distribution.log_prob(z).mean()
    drops = []
    for angle in angles.tolist():
        rotated = z.clone()
        rotated[:, i] = math.cos(angle) * z[:, i] - math.sin(angle) * z[:, j]
        rotated[:, j] = math.sin(angle) * z[:, i] + math.cos(angle) * z[:, j]
        drops.append(before - distribution.log_prob(rotated).mean())
    return torch.stack(drops)


def rotational_asymmetry(
    distribution: Distribution,
    angle: float = math.pi / 4,
    z: Float[Tensor, "samples n"] | None = None,
) -> Float[Tensor, "n n"]:
    """The drop of `rotation_curve` at one angle for every pair of latents, in nats.

    Args:
        distribution: A distribution over vectors of n latents.
        angle: The angle of the rotation, in radians.
        z: Samples to take the mean over; 20,000 are drawn without them.

    Examples:
        >>> rotational_asymmetry(LpNested("2[2*2, z]")).abs().max() < 1e-5
        tensor(True)
    """
    z = _codes(distribution, z)
    n = z.shape[1]
    drops = z.new_zeros(n, n)
    for i in range(n):
        for j in range(i + 1, n):
            drops[i, j] = drops[j, i] = rotation_curve(
                distribution, (i, j), z.new_tensor([angle]), z
            )[0]
    return drops


def subspace_dependence(
    distribution: LpNested, z: Float[Tensor, "samples n"] | None = None
) -> Float[Tensor, "subspaces subspaces"]:
    """Correlations of the logarithms of the subspaces' norms.

    The subspaces of an Lp-nested distribution depend on each other only through their norms, and
    under Eq. 11 not at all: correlations off the diagonal are then 0 up to 1/√samples. They differ
    from 0 for another `radial`, or for codes z that do not follow their prior.

    Args:
        distribution: The prior.
        z: Codes; by default 20,000 samples.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> round(float(subspace_dependence(LpNested("2[1*2, 1*2]"))[0, 1]), 1)
        0.0
    """
    z = distribution.sample((_SAMPLES,)) if z is None else z
    return torch.corrcoef(distribution.subspace_norms(z).log().T)


def _codes(distribution: Distribution, z: Tensor | None) -> Float[Tensor, "samples n"]:
    """Codes of at least single precision; by default samples."""
    if distribution.batch_shape or len(distribution.event_shape) != 1:
        raise ValueError(
            "A rotation needs one distribution over vectors, not batch shape "
            f"{tuple(distribution.batch_shape)} and event shape {tuple(distribution.event_shape)}: "
            "wrap single latents in Independent(..., 1), or take one of the batch."
        )
    z = distribution.sample((_SAMPLES,)) if z is None else z
    if z.dim() != 2 or not len(z):
        raise ValueError(
            f"Codes must have the shape (samples, n), not {tuple(z.shape)}: flatten other axes."
        )
    return z.to(torch.promote_types(z.dtype, torch.float32))  # a rotated integer is none
