"""What can be tested on a GPU only. `isavae gpu-check` runs these with pytest and nothing else."""

import io

import numpy as np
import pytest
import torch

from isavae.data import ImageDataset
from isavae.distributions import LpNested, MinibatchWeights, log_joint_and_marginals
from isavae.models import VAE, BernoulliLikelihood, build_networks
from isavae.training import TrainState, train
from tests.instances import OBJECTIVES, PRIORS

DEVICE, SHAPE, BATCH = torch.device("cuda"), (1, 8, 8), 32

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def random_images(n: int = 100, values: int = 2) -> ImageDataset:
    images = np.random.default_rng(0).integers(0, values, (n, *SHAPE), np.uint8)
    return ImageDataset.from_arrays(images)


def fresh_state(objective: str, prior: str, device: torch.device) -> TrainState:
    torch.manual_seed(0)
    p = PRIORS[prior]()
    networks = build_networks("mlp", SHAPE, p.n_latents, width=16)
    model = VAE(*networks, p, BernoulliLikelihood()).to(device)
    torch.manual_seed(0)
    return TrainState(model, adversary=OBJECTIVES[objective].adversary(p.n_latents))


def steps_of(state: TrainState, objective: str, steps: int):
    return train(
        state, random_images(), OBJECTIVES[objective], steps=steps, batch_size=BATCH, seed=0
    )


def assert_no_step_waits(objective: str, prior: str) -> None:
    steps = steps_of(fresh_state(objective, prior, DEVICE), objective, 8)
    next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        reports = list(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(np.isfinite(list(report.to_floats().values())).all() for report in reports)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_step_of_an_objective_waits(objective):
    assert_no_step_waits(objective, "learned exponents, standardised")


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("objective", ["beta-vae", "dip-vae-i"])
def test_no_step_with_a_prior_waits(objective, prior):
    assert_no_step_waits(objective, prior)


@pytest.mark.parametrize("objective", ["beta-vae", "beta-tcvae", "factor-vae"])
def test_a_resumed_run_is_the_same_bit_for_bit(objective):
    whole = fresh_state(objective, "isa", DEVICE)
    expected = [report.to_floats() for report in steps_of(whole, objective, 10)]
    first = fresh_state(objective, "isa", DEVICE)
    found = [report.to_floats() for report in steps_of(first, objective, 5)]
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second = fresh_state(objective, "isa", DEVICE)
    second.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True))
    found += [report.to_floats() for report in steps_of(second, objective, 10)]
    assert found == expected


@pytest.mark.parametrize("values", [2, 256])
def test_batches_are_those_of_the_cpu(values):
    images = random_images(values=values)
    for step in range(7):
        found = images.minibatch(0, step, BATCH, DEVICE)
        assert torch.equal(found.cpu(), images.minibatch(0, step, BATCH))


@pytest.mark.parametrize("batch", [64, 600])
@pytest.mark.parametrize("estimator", ["weighted", "stratified", "stratified_published"])
def test_log_densities_and_gradients_are_those_of_the_cpu(estimator, batch):
    torch.manual_seed(0)
    mean, std = torch.randn(batch, 6), 0.1 + torch.rand(batch, 6)
    inputs = mean + std * torch.randn(batch, 6), mean, std
    found = []
    for device in (torch.device("cpu"), DEVICE):
        weights = getattr(MinibatchWeights, estimator)(batch, 10_000).to(device)
        leaves = [x.detach().to(device, copy=True).requires_grad_() for x in inputs]
        joint, marginals = log_joint_and_marginals(*leaves, weights, exact=True)
        (joint.sum() + marginals.sum()).backward()
        found.append([x.detach().cpu() for x in (joint, marginals, *(x.grad for x in leaves))])
    for on_cpu, on_gpu in zip(*found, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("tree", ["2.1[2.2*4, 2.2*4]", "2[z, 1.2*2, z, 1.2*3, 4[1.5*2, z, 1.5*2]]"])
def test_lp_nested_densities_are_those_of_the_cpu(tree):
    on_cpu = LpNested(tree)
    on_gpu = LpNested(tree, torch.ones((), device=DEVICE))
    z = torch.randn(50, on_cpu.tree.n)
    torch.testing.assert_close(on_gpu.log_prob(z.to(DEVICE)).cpu(), on_cpu.log_prob(z))
    assert on_gpu.sample((5,)).device.type == "cuda"
