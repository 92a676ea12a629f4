"""Every law-abiding object, by name: `test_*_laws.py` run over these. A new one costs a line."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch.distributions import Distribution, Gamma, LogNormal

from isavae import models
from isavae.distributions import GeneralizedNormal, LpNested
from isavae.models import (
    DIPVAEI,
    DIPVAEII,
    AnnealedVAE,
    AnyObjective,
    BetaTCVAE,
    BetaVAE,
    ControlVAE,
    FactorVAE,
    Likelihood,
    Prior,
    build_likelihood,
    build_prior,
)


def _t(values: object, dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)


# name -> a distribution whose parameters have the given dtype
DISTRIBUTIONS: dict[str, Callable[[torch.dtype], Distribution]] = {
    "generalised normal, peaked": lambda t: GeneralizedNormal(0.0, _t(0.5, t), _t(0.7, t)),
    "generalised normal, flat": lambda t: GeneralizedNormal(0.0, _t(2.0, t), _t(6.0, t)),
    "generalised normals": lambda t: GeneralizedNormal(0.0, _t(1.5, t), _t([1.0, 2.0, 4.0], t)),
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

# name -> a prior
PRIORS: dict[str, Callable[[], Prior]] = {
    "normal": lambda: build_prior("normal", 4),
    "normal, learned scale": lambda: build_prior("normal", 4, 0.7, learn_scale=True),
    "laplace": lambda: build_prior("laplace", 4, "standardised"),
    "student-t": lambda: build_prior("student-t(3.5)", 4, learn_scale=True),
    "gennorm": lambda: build_prior("gennorm(4)", 4, 1.5),
    "isa": lambda: build_prior("2.1[2.2*2, 1.9*2]"),
    "learned exponents": lambda: build_prior("2.1[2*2, 2*2]", learn_exponents=True),
    "learned exponents, p0 and scale": lambda: build_prior(
        "2.1[2*2, z, z]",
        learn_exponents=True,
        learn_p0=True,
        learn_scale=True,
        lowest_exponent=0.5,
    ),
    "learned exponents, standardised": lambda: build_prior(
        "2[1.5[2*2, z], z]", None, "standardised", learn_exponents=True
    ),
}

# name -> a likelihood
LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    name: partial(build_likelihood, name)
    for name in (*models.LIKELIHOODS, "gaussian(0.3)", "laplace(0.3)")
}

OBJECTIVES: dict[str, AnyObjective] = {
    "beta-vae": BetaVAE(4.0, warmup=10),
    "beta-tcvae": BetaTCVAE(warmup=10),
    "beta-tcvae, stratified": BetaTCVAE(alpha=0.5, gamma=2.0, estimator="stratified"),
    "beta-tcvae, as published": BetaTCVAE(estimator="stratified_published", exact=True),
    "beta-tcvae between subspaces": BetaTCVAE(between="subspaces"),
    "factor-vae": FactorVAE(warmup=10, discriminator_width=8, discriminator_decay=0.5),
    "dip-vae-i": DIPVAEI(warmup=10),
    "dip-vae-ii": DIPVAEII(kl_estimator="entropy"),
    "annealed-vae": AnnealedVAE(capacity_steps=10),
    "control-vae": ControlVAE(capacity=0.5, capacity_steps=10, integral=0.1),
    "beta-vae, schedule": BetaVAE(4.0, schedule=((0, 16.0), (10, 1.0))),
}

# Those without a companion, with a loss that is the same function of the output at every step.
STEADY: dict[str, AnyObjective] = {
    name: replace(objective, **{"capacity_steps" if name == "annealed-vae" else "warmup": 0})
    for name, objective in OBJECTIVES.items()
    if name not in ("factor-vae", "control-vae", "beta-vae, schedule")
}
