"""Every law-abiding object, by name: `test_*_laws.py` run over these. A new one costs a line."""

from collections.abc import Callable

import torch
from torch.distributions import Distribution, Gamma, LogNormal

from isavae.distributions import GeneralizedNormal, LpNested


def _t(values: object, dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)


# name -> a distribution whose parameters have the given dtype
DISTRIBUTIONS: dict[str, Callable[[torch.dtype], Distribution]] = {
    "generalised normal, peaked": lambda t: GeneralizedNormal(_t(0.7, t), _t(0.5, t)),
    "generalised normal, flat": lambda t: GeneralizedNormal(_t(6.0, t), _t(2.0, t)),
    "generalised normals": lambda t: GeneralizedNormal(_t([1.0, 2.0, 4.0], t), _t(1.5, t)),
    "one leaf": lambda t: LpNested("0.7*1", _t(0.9, t)),
    "one leaf under single children": lambda t: LpNested("3[1.2[0.8*1]]", _t(1.1, t)),
    "normal": lambda t: LpNested("2*2", _t(2.0, t)),
    "Lp-spherical": lambda t: LpNested("1.3*2", _t(0.8, t)),
    "eq. 6": lambda t: LpNested("2[z, 1*2]", _t(1.0, t)),
    "cusped": lambda t: LpNested("0.8[z, 3*2]", _t(1.0, t)),
    "deep": lambda t: LpNested("2[1.1[z, 3[0.9*1]], z]", _t(1.4, t)),
    "isa": lambda t: LpNested("2.1[2.2*4, 2.2*4]", _t(1.0, t)),
    "unbalanced": lambda t: LpNested("2.1[2.2*4, 3[z, 1.5*2, 7[z]], z]", _t(1.0, t)),
    "scrambled": lambda t: LpNested("2[z, 1.2*2, z, 1.2*3, 4[1.5*2, z, 1.5*2]]", _t(1.0, t)),
    "standardised": lambda t: LpNested.standardised("4[1.5*2, 3*3]", _t([4.0, 1.5, 3.0], t)),
    "batch of exponents": lambda t: LpNested(
        "2[z, 2*1]", _t([[1.0], [2.0]], t), _t([[2.0, 1.0], [1.5, 3.0], [5.0, 4.0]], t)
    ),
    "gamma radius": lambda t: LpNested("2.1[z, 3*2]", radial=Gamma(_t(3.0, t), _t(2.0, t))),
    "log-normal radii": lambda t: LpNested(
        "1.5*2", radial=LogNormal(_t([0.0, 1.0], t), _t(0.5, t))
    ),
}
