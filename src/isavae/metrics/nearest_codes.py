"""Real images for points of the latent space: those whose codes are nearest."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor


def median_row(means: Float[Tensor, "images latents"]) -> int:
    """The image whose code is nearest to the median of all codes.

    Examples:
        >>> import torch
        >>> median_row(torch.tensor([[0.0, 9.0], [1.0, 1.0], [9.0, 0.0]]))
        1
    """
    return int((means - means.median(0).values).square().sum(1).argmin())


# Weight of a squared distance along the other axes, against one along the axis itself.
_BESIDE = 0.1


def nearest_along(
    means: Float[Tensor, "images latents"],
    latent: int,
    code: Float[Tensor, "latents"],
    values: Float[Tensor, "values"],
    used: Sequence[int],
) -> list[int]:
    """For every value of a latent, the image whose code is nearest to it and to a code elsewhere.

    Distances count in standard deviations; along the other latents a tenth as much.

    Args:
        means: The codes of the images.
        latent: The index of the latent.
        code: The other latents' values.
        values: Values of the latent.
        used: The latents that count, among them this one.

    Examples:
        >>> import torch
        >>> means = torch.tensor([[0.0, 0.0], [0.9, 0.1], [1.0, 1.0], [0.0, 1.0]])
        >>> nearest_along(means, 0, torch.zeros(2), torch.tensor([0.0, 1.0]), [0, 1])
        [0, 1]
    """
    codes, place = means[:, list(used)], list(used).index(latent)
    wanted = code[list(used)].repeat(len(values), 1)
    wanted[:, place] = values
    weights = codes.var(0).clamp(min=1e-12).reciprocal() * _BESIDE
    weights[place] /= _BESIDE
    return [int(((codes - point).square() * weights).sum(1).argmin()) for point in wanted]
