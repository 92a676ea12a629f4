"""What a prior asks of its latents, made measurable: preferred axes and independent subspaces.

The paper's claim is that an ISA prior pins latents to axes inside a subspace: turning z there must
cost log-density. It costs nothing, exactly, where all exponents are 2.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from isavae.distributions.lp_nested import LpNested

_SAMPLES = 20_000


def rotation_curve(
    law: Distribution,
    axes: tuple[int, int],
    angles: Float[Tensor, " angles"],
    z: Float[Tensor, "samples n"] | None = None,
) -> Float[Tensor, " angles"]:
    """How many nats E log p(z) drops when z is turned by each angle in the plane of two latents.

    Args:
        law: Any law on vectors.
        axes: The two latents, from 0.
        angles: In radians.
        z: Codes to turn; by default 20,000 samples of the law, for which the drop is the
            Kullback-Leibler divergence between the law and its turned copy.

    Raises:
        ValueError: If the axes are not two of the latents.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> law = LpNested("2[1*2, 1*2]")
        >>> within = rotation_curve(law, (0, 1), torch.tensor([0.0, math.pi / 4, math.pi / 2]))
        >>> [round(nats, 1) for nats in within.tolist()]
        [0.0, 0.2, 0.0]
    """
    z = law.sample((_SAMPLES,)) if z is None else z
    i, j = axes
    if i == j or not {i, j} <= set(range(z.shape[-1])):
        raise ValueError(
            f"The axes must be two different latents below {z.shape[-1]}, not {axes}: count from 0."
        )
    before = law.log_prob(z).mean()
    drops = []
    for angle in angles.tolist():
        turned = z.clone()
        turned[:, i] = math.cos(angle) * z[:, i] - math.sin(angle) * z[:, j]
        turned[:, j] = math.sin(angle) * z[:, i] + math.cos(angle) * z[:, j]
        drops.append(before - law.log_prob(turned).mean())
    return torch.stack(drops)


def rotational_asymmetry(
    law: Distribution, angle: float = math.pi / 4, z: Float[Tensor, "samples n"] | None = None
) -> Float[Tensor, "n n"]:
    """The drop of `rotation_curve` at one angle for every pair of latents, in nats.

    Example:
        >>> rotational_asymmetry(LpNested("2[2*2, z]")).abs().max() < 1e-5
        tensor(True)
    """
    z = law.sample((_SAMPLES,)) if z is None else z
    n = z.shape[-1]
    drops = z.new_zeros(n, n)
    for i in range(n):
        for j in range(i + 1, n):
            drops[i, j] = drops[j, i] = rotation_curve(law, (i, j), z.new_tensor([angle]), z)[0]
    return drops


def subspace_dependence(
    law: LpNested, z: Float[Tensor, "samples n"] | None = None
) -> Float[Tensor, "subspaces subspaces"]:
    """Correlations of the logarithms of the subspaces' norms.

    Within an Lp-nested law, subspaces depend on each other through their norms only, and under
    Eq. 11 not at all: off the diagonal the correlations are then 0 up to 1/√samples. Another
    `radial`, or codes z that do not follow their prior, show here.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> round(float(subspace_dependence(LpNested("2[1*2, 1*2]"))[0, 1]), 1)
        0.0
    """
    z = law.sample((_SAMPLES,)) if z is None else z
    return torch.corrcoef(law.subspace_norms(z).log().T)
