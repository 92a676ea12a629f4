"""What a training step does, counted: a guard of its speed that needs no clock.

A bound is a few percent above the count when it was set. A step that exceeds one has become slower
by as much wherever operations are many and small: small batches, and GPUs. Then take the operation
out again, or say in the commit why it is worth its time, and raise the bound. After a change that
makes a step cheaper, lower the bound to the counts that `pytest -k counts` then shows when it is
set to 0.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from isavae.data import ImageDataset
from isavae.distributions import MinibatchWeights, log_joint_and_marginals
from isavae.models import (
    VAE,
    BernoulliLikelihood,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    build_networks,
    build_prior,
)
from isavae.training import TrainState, train

pytestmark = pytest.mark.system

SHAPE, BATCH = (1, 8, 8), 32
COPIES = {"_to_copy", "copy_", "clone", "cat", "stack"}
# name -> (objective, prior, most operations, copies and allocations of a step)
STEPS = {
    "beta-vae": (BetaVAE(), "normal", 119, 2, 113),
    "beta-tcvae": (BetaTCVAE(), "normal", 190, 6, 172),
    "factor-vae": (FactorVAE(discriminator_width=8), "normal", 263, 2, 258),
    "isa-vae": (BetaVAE(), "2.1[2.2*4, 2.2*4]", 148, 7, 132),
    "isa-tcvae": (BetaTCVAE(), "2.1[2.2*4, 2.2*4]", 219, 11, 191),
}


class Counted(TorchDispatchMode):
    """Counts operations that compute or copy, not those that only make a view."""

    def __init__(self):
        super().__init__()
        self.counts = Counter(operations=0, copies=0, allocations=0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        schema = func._schema
        returned = [each.alias_info for each in schema.returns]
        is_view = bool(returned) and all(alias and not alias.is_write for alias in returned)
        if func.namespace == "aten" and "Tensor" in str(schema) and not is_view:
            self.counts["operations"] += 1
            self.counts["copies"] += func.overloadpacket.__name__ in COPIES
            self.counts["allocations"] += returned.count(None)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", STEPS)
def test_counts_of_a_step_are_bounded(name):
    objective, prior, *most = STEPS[name]
    torch.manual_seed(0)
    prior = build_prior(prior, 8)
    model = VAE(*build_networks("mlp", SHAPE, 8, width=16), prior, BernoulliLikelihood())
    state = TrainState(model, companion=objective.companion(8))
    images = ImageDataset.from_stored("black", np.zeros((10 * BATCH, 8), np.uint8), SHAPE)
    steps = train(state, images, objective, steps=9, batch_size=BATCH, seed=0)
    for _ in range(2):  # clear moments, fill caches
        next(steps)
    with Counted() as counted:
        next(steps)
    bounds = dict(zip(counted.counts, most, strict=True))
    assert counted.counts == Counter({k: min(n, bounds[k]) for k, n in counted.counts.items()})


def test_total_correlation_of_a_large_batch_takes_few_operations_on_a_gpu():
    """Sums over pairs in few, large blocks; `meta` stands for the GPU."""
    z, mean, std = (torch.ones(2048, 20, device="meta", requires_grad=True) for _ in range(3))
    weights = MinibatchWeights.weighted(2048, 10_000).to(z.device)
    with Counted() as counted:
        joint, marginals = log_joint_and_marginals(z, mean, std, weights)
        (joint.sum() + marginals.sum()).backward()
    assert counted.counts["operations"] <= 212
