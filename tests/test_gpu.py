"""What can be tested on a GPU only. `isavae gpu-check` runs these with pytest and nothing else."""

import io
import warnings

import numpy as np
import pytest
import torch

from isavae import training
from isavae.blur import Blur
from isavae.data import ImageDataset
from isavae.distributions import LpNested, MinibatchWeights, log_joint_and_marginals
from isavae.graphed_step import WARM_UP
from isavae.models import VAE, BernoulliLikelihood, Objective, build_networks
from isavae.training import TrainState, train
from tests.graph_emulator import count_replays
from tests.instances import OBJECTIVES, PRIORS, STEADY

DEVICE, SHAPE, BATCH = torch.device("cuda"), (1, 8, 8), 32

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def random_images(n: int = 100, values: int = 2) -> ImageDataset:
    images = np.random.default_rng(0).integers(0, values, (n, *SHAPE), np.uint8)
    return ImageDataset(images)


def fresh_state(objective: Objective, prior: str, device: torch.device = DEVICE) -> TrainState:
    torch.manual_seed(0)
    p = PRIORS[prior]()
    networks = build_networks("mlp", SHAPE, p.n_latents, width=16)
    model = VAE(*networks, p, BernoulliLikelihood()).to(device)
    torch.manual_seed(0)
    return TrainState(model, companion=objective.companion(p.n_latents))


def steps_of(state: TrainState, objective: Objective, steps: int):
    return train(state, random_images(), objective, steps=steps, batch_size=BATCH, seed=0)


def assert_no_step_waits(objective: Objective, prior: str) -> None:
    steps = steps_of(fresh_state(objective, prior), objective, 13)
    for _ in range(WARM_UP + 2):  # the last of them records a step, which waits
        next(steps)
    try:  # with a schedule of 10 steps, none of the others is recorded
        with warnings.catch_warnings():  # PyTorch calls this mode a prototype
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode("error")
        reports = list(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(reports) == 13 - WARM_UP - 2
    assert all(np.isfinite(list(report.to_floats().values())).all() for report in reports)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_step_of_an_objective_waits(objective):
    """Those that rise over ten steps are never recorded here, the others are."""
    assert_no_step_waits(OBJECTIVES[objective], "learned exponents, standardised")


@pytest.mark.parametrize("objective", STEADY)
def test_no_replayed_step_of_an_objective_waits(objective, monkeypatch):
    replays = count_replays(monkeypatch)
    assert_no_step_waits(STEADY[objective], "learned exponents, standardised")
    assert len(replays) == 13 - WARM_UP - 1


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("objective", ["beta-vae", "dip-vae-i"])
def test_no_step_with_a_prior_waits(objective, prior):
    assert_no_step_waits(OBJECTIVES[objective], prior)


def values_and_weights(state: TrainState, objective: Objective, *, graphs: bool, **settings):
    """Train to the 12th step, or as `settings` say, with or without a graph."""
    how = {"steps": 12, "end": 1.0} | settings
    step = training._Step(state, random_images(), objective, how["steps"], BATCH, 0, Blur(1.0))
    reports = list(training._take_steps(step, how["end"], graphs=graphs))
    adam = state.state_dict()["optimizer"]["state"]
    return [report.to_floats() for report in reports], state.model.state_dict(), adam


def assert_replays_change_nothing(objective: Objective, prior: str, **settings) -> None:
    found, expected = (
        values_and_weights(fresh_state(objective, prior), objective, graphs=graphs, **settings)
        for graphs in (True, False)
    )
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[1:], expected[1:], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("objective", STEADY)
def test_replayed_steps_are_those_taken_one_by_one(objective, prior, monkeypatch):
    replays = count_replays(monkeypatch)
    assert_replays_change_nothing(STEADY[objective], prior)
    assert len(replays) == 12 - WARM_UP - 1


def test_learning_rates_fall_in_replayed_steps(monkeypatch):
    replays = count_replays(monkeypatch)
    assert_replays_change_nothing(STEADY["beta-vae"], "learned exponents", end=0.05)
    assert len(replays) == 12 - WARM_UP - 1


def test_steps_are_replayed_once_the_loss_is_steady(monkeypatch):
    replays = count_replays(monkeypatch)
    assert_replays_change_nothing(OBJECTIVES["beta-vae"], "learned exponents", steps=20)
    assert len(replays) == 20 - 10 - WARM_UP


def test_bfloat16_and_a_frozen_prior_are_replayed(monkeypatch):
    """The weights' casts are part of the graph; what changes between two steps is noticed."""
    replays, objective = count_replays(monkeypatch), STEADY["beta-vae"]
    found = []
    for graphs in (True, False):
        state = fresh_state(objective, "learned exponents")
        state.model.network_dtype = torch.bfloat16
        step = training._Step(state, random_images(), objective, 20, BATCH, 0, Blur())
        steps = training._take_steps(step, 1.0, graphs=graphs)
        values = [next(steps).to_floats() for _ in range(8)]
        state.model.prior.freeze()
        found.append(values + [report.to_floats() for report in steps])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert found[0][8]["p1"] == found[0][19]["p1"]
    assert len(replays) == (8 - WARM_UP - 1) + (12 - WARM_UP)


def assert_resumes(objective: Objective, prior: str, **tolerance) -> None:
    whole = fresh_state(objective, prior)
    expected = [report.to_floats() for report in steps_of(whole, objective, 13)]
    first = fresh_state(objective, prior)
    found = [report.to_floats() for report in steps_of(first, objective, 7)]
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second = fresh_state(objective, prior)
    second.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True))
    found += [report.to_floats() for report in steps_of(second, objective, 13)]
    torch.testing.assert_close(found, expected, **tolerance)


@pytest.mark.parametrize("objective", ["beta-vae", "beta-tcvae", "factor-vae"])
def test_a_resumed_run_is_the_same_bit_for_bit(objective):
    """Schedules of ten steps, so that no step is replayed; the factor-vae has a companion."""
    assert_resumes(OBJECTIVES[objective], "isa", rtol=0, atol=0)


@pytest.mark.parametrize("objective", ["beta-vae", "beta-tcvae"])
def test_a_resumed_run_with_replays_is_the_whole_one(objective, monkeypatch):
    replays = count_replays(monkeypatch)
    assert_resumes(STEADY[objective], "learned exponents", rtol=1e-5, atol=1e-5)
    assert len(replays) == (13 - WARM_UP - 1) + (7 - WARM_UP - 1) + (6 - WARM_UP)


def test_a_state_of_a_cpu_goes_on_with_replays(monkeypatch):
    replays, objective = count_replays(monkeypatch), STEADY["beta-vae"]
    on_cpu = fresh_state(objective, "learned exponents", torch.device("cpu"))
    list(steps_of(on_cpu, objective, 3))
    state = fresh_state(objective, "learned exponents")
    state.load_state_dict(on_cpu.state_dict())
    assert all(group["capturable"] for group in state.optimizer.param_groups)
    list(steps_of(state, objective, 10))
    assert len(replays) == 7 - WARM_UP


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
