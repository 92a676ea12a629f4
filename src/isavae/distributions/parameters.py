"""Conversion and validation of the parameters and arguments of `LpNested`."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from isavae.distributions.radial import check_radial
from isavae.distributions.tree import LpTree


def as_parameters(
    tree: LpTree,
    scale: Tensor | float | int,
    exponents: Tensor | None,
    radial: Distribution | None,
    *,
    check: bool,
) -> tuple[Tensor, Tensor, torch.Size]:
    """Exponents, scale and the batch shape of all parameters.

    Numbers become tensors of the precision and device of those given as tensors. `check` also
    checks values, which copies them from the device.
    """
    given = (exponents, scale, radial.mean if radial else None)
    like = next((x for x in given if isinstance(x, Tensor)), torch.empty(()))
    if exponents is None:
        exponents = like.new_tensor(tree.exponents)
    if exponents.shape[-1:] != (len(tree.exponents),):
        raise ValueError(
            f"The exponents of the tree {tree} must be {len(tree.exponents)} on the last axis, one "
            f"per inner node, not a tensor of shape {tuple(exponents.shape)}: list them in "
            "preorder, as in tree.exponents."
        )
    scales = scale if isinstance(scale, Tensor) else exponents.new_full((), scale)
    batch_shape = _batch_shape(exponents, scales, radial)
    if check:
        _check_positive("exponents", exponents)
        _check_positive("scale", scales)
    if radial is not None:
        check_radial(radial, scale)
    return exponents, scales, batch_shape


def _batch_shape(exponents: Tensor, scale: Tensor, radial: Distribution | None) -> torch.Size:
    shapes = (exponents.shape[:-1], scale.shape, radial.batch_shape if radial else torch.Size())
    try:
        return torch.broadcast_shapes(*shapes)
    except RuntimeError as problem:
        raise ValueError(
            "The batch shapes of exponents (without their last axis), scale and radial "
            "distribution must broadcast, not "
            f"{', '.join(str(tuple(shape)) for shape in shapes)}: add axes of length 1."
        ) from problem


def _check_positive(name: str, x: Tensor) -> None:
    right = (x > 0) & (x < math.inf)
    if not torch._is_all_true(right):
        wrong = x.detach()[~right]
        raise ValueError(
            f"The {name} must be positive and finite, not {float(wrong[0])}, which is one of "
            f"{len(wrong)} such entries out of {x.numel()}: put what is learned behind a "
            "constraint, for example softplus."
        )


def check_width(z: Tensor, tree: LpTree) -> None:
    """Raise a ValueError unless the last axis holds the leaves."""
    if z.shape[-1:] != (tree.n,):
        raise ValueError(
            f"The last axis must hold the tree's {tree.n} leaves, not a tensor of shape "
            f"{tuple(z.shape)}: fit the tree to the latents."
        )


def check_not_nan(z: Tensor) -> None:
    """Raise a ValueError if a leaf is NaN."""
    if not torch._is_all_true(z == z):
        raise ValueError(
            "Every leaf must be a real number, the support of LpNested, not NaN as in "
            f"{int(z.isnan().sum())} of {z.numel()} entries: look where the encoder or the data "
            "made it."
        )
