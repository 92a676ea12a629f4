"""Codes made by hand, with the answers that scores must give."""

import math

import numpy as np
import torch

from isavae.data import FactorGrid
from isavae.metrics import Codes

SIZES = (3, 4, 5)
SMALL_STD = math.log(1e-3)


def grid(sizes: tuple[int, ...] = SIZES) -> FactorGrid:
    return FactorGrid(names=tuple("abcdefg"[: len(sizes)]), sizes=sizes)


def factor_columns(sizes: tuple[int, ...] = SIZES) -> torch.Tensor:
    """Factor classes as centred floats, one column a factor: a perfect code."""
    columns = torch.from_numpy(grid(sizes).labels_array()).double()
    return columns - columns.mean(dim=0)


def codes(mean: torch.Tensor, log_std: float = SMALL_STD, sizes: tuple[int, ...] = SIZES) -> Codes:
    return Codes(mean, torch.full_like(mean, log_std), grid(sizes))


def perfect() -> Codes:
    """Latent k is factor k, then two latents pruned to the prior."""
    columns = factor_columns()
    pruned = torch.zeros(len(columns), 2, dtype=torch.float64)
    log_std = torch.full((len(columns), 5), SMALL_STD, dtype=torch.float64)
    log_std[:, 3:] = 0.0
    return Codes(torch.cat([columns, pruned], dim=1), log_std, grid())


def duplicated() -> Codes:
    """Every factor in two latents: all gaps are zero."""
    return codes(factor_columns().repeat(1, 2))


def entangled() -> Codes:
    """One latent tells every combination of classes apart."""
    place = torch.tensor([20.0, 5.0, 1.0], dtype=torch.float64)
    return codes((factor_columns() @ place)[:, None])


def split() -> Codes:
    """Factor a (four classes) as its two binary digits in two latents; factor b in a third."""
    labels = torch.from_numpy(grid((4, 3)).labels_array())
    mean = torch.stack([labels[:, 0] // 2, labels[:, 0] % 2, labels[:, 1]], dim=1).double()
    return codes(mean, sizes=(4, 3))


def random(latents: int = 4, seed: int = 0) -> Codes:
    """Codes that know nothing of the factors: one large grid, independent normal means."""
    sizes = (10, 10, 40)
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(math.prod(sizes), latents, generator=generator, dtype=torch.float64)
    return codes(mean, log_std=-2.0, sizes=sizes)


def rotated(angle: float, codes_: Codes) -> Codes:
    """The first two latents turned by an angle in radians."""
    turn = torch.eye(codes_.latents, dtype=torch.float64)
    turn[:2, :2] = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    return Codes(codes_.mean @ turn.T, codes_.log_std, codes_.grid)


def overlapping(seed: int = 0) -> Codes:
    """Posteriors of all widths that overlap, no symmetry: nothing about them is easy."""
    generator = torch.Generator().manual_seed(seed)
    columns = factor_columns()
    mixing = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    mean = columns @ mixing + 0.3 * torch.randn(len(columns), 4, generator=generator).double()
    log_std = torch.empty_like(mean).uniform_(math.log(0.02), 0.0, generator=generator)
    return Codes(mean, log_std, grid())


def unbalanced(seed: int = 0) -> Codes:
    """Overlapping codes of a random, repeating choice of rows, one label in ten unknown."""
    whole = overlapping(seed)
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, len(whole), 200)
    labels = whole.grid.labels_array()[rows]
    labels[generator.random(labels.shape) < 0.1] = -1
    partial = FactorGrid(whole.grid.names, whole.grid.sizes, labels=labels)
    return Codes(whole.mean[rows], whole.log_std[rows], partial)
