"""The parameters of an Lp-nested law: numbers become tensors, and must be positive."""

import math

from torch import Tensor, empty
from torch.distributions import Distribution

from isavae.distributions.tree import LpTree


def joint_parameters(
    tree: LpTree, scale: Tensor | float | int, exponents: Tensor | None, radial: Distribution | None
) -> tuple[Tensor, Tensor]:
    """Exponents and scale as tensors, numbers as precise, and on the device, as what is a tensor.

    Raises:
        ValueError: If there are not as many exponents as inner nodes.
    """
    given = (exponents, scale, radial.mean if radial else None)
    like = next((x for x in given if isinstance(x, Tensor)), empty(()))
    if exponents is None:
        exponents = like.new_tensor(tree.exponents)
    if exponents.shape[-1:] != (len(tree.exponents),):
        raise ValueError(
            f"The tree {tree} needs {len(tree.exponents)} exponents, one per inner node in "
            f"preorder, on the last axis, not a tensor of shape {tuple(exponents.shape)}."
        )
    if not isinstance(scale, Tensor):
        scale = exponents.new_full((), scale)
    return exponents, scale


def check_positive(name: str, x: Tensor) -> None:
    """Raises a ValueError unless all entries are positive and finite."""
    if not bool(((x > 0) & (x < math.inf)).all()):
        raise ValueError(
            f"The {name} must be positive and finite, not {x.detach().cpu().tolist()}: learn them "
            "behind a constraint, for example softplus."
        )
