"""Steps that are replayed as a graph are those that are taken one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from isavae import training
from isavae.blur import Blur
from isavae.data import ImageDataset
from isavae.graphed_step import WARM_UP, can_be_graphed
from isavae.models import (
    VAE,
    BernoulliLikelihood,
    BetaVAE,
    build_networks,
    build_prior,
    steady_from,
)
from isavae.training import TrainState
from tests.graph_emulator import count_replays, emulate_graphs, tensor_learning_rates
from tests.instances import OBJECTIVES, PRIORS, STEADY

SHAPE, BATCH, STEPS = (1, 8, 8), 32, 12


@pytest.fixture
def replays(monkeypatch):
    emulate_graphs(monkeypatch)
    return count_replays(monkeypatch)


def images() -> ImageDataset:
    values = np.random.default_rng(0).integers(0, 2, (100, *SHAPE), np.uint8)
    return ImageDataset(values)


def fresh_state(objective, prior) -> TrainState:
    torch.manual_seed(0)
    networks = build_networks("mlp", SHAPE, prior.n_latents, width=8)
    model = VAE(*networks, prior, BernoulliLikelihood())
    state = TrainState(model, companion=objective.companion(prior.n_latents))
    tensor_learning_rates(state)
    return state


def steps_of(state, objective, *, steps=STEPS, end=1.0, graphs=True, data=None):
    step = training._Step(state, data or images(), objective, steps, BATCH, 0, Blur(1.0))
    return training._take_steps(step, end, graphs=graphs)


def assert_alike(objective, prior, replays, replayed, **settings) -> None:
    """Training with a graph gives the values and the state of training without one."""
    one_by_one, graphed = (fresh_state(objective, prior()) for _ in range(2))
    expected = list(steps_of(one_by_one, objective, graphs=False, **settings))
    found = list(steps_of(graphed, objective, **settings))
    assert len(replays) == replayed
    values = [[list(report.to_floats().items()) for report in each] for each in (found, expected)]
    assert values[0] == values[1]
    for part in (lambda s: s["model"], lambda s: s["optimizer"]["state"]):
        both = part(graphed.state_dict()), part(one_by_one.state_dict())
        torch.testing.assert_close(*both, rtol=0, atol=0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_loss_is_the_same_from_the_step_that_it_is_steady_from(name):
    objective, x = OBJECTIVES[name], images().minibatch(0, 0, BATCH)
    state = fresh_state(objective, PRIORS["isa"]())
    output, first = state.model(x, torch.Generator().manual_seed(0)), steady_from(objective)

    def loss(step: int) -> float:
        value = objective(output, step=step, n_data=100, companion=state.companion)
        return float(value.loss.detach())

    changes = getattr(objective, "warmup", 10) or getattr(objective, "schedule", ())
    assert first == (10 if changes else 0)
    assert loss(first) == loss(first + 1) == loss(1000)
    assert first == 0 or loss(first - 1) != loss(first)


def test_the_loss_of_an_objective_of_your_own_is_never_known_to_be_steady():
    class Own(BetaVAE):
        pass

    assert steady_from(Own()) is None


@pytest.mark.parametrize("prior", PRIORS)
def test_replayed_steps_with_a_prior_are_the_same_bit_for_bit(prior, replays):
    assert_alike(BetaVAE(), PRIORS[prior], replays, STEPS - WARM_UP - 1)


@pytest.mark.parametrize("objective", STEADY)
def test_replayed_steps_of_an_objective_are_the_same_bit_for_bit(objective, replays):
    prior = PRIORS["learned exponents, standardised"]
    assert_alike(STEADY[objective], prior, replays, STEPS - WARM_UP - 1)


def test_learning_rates_fall_in_replayed_steps(replays):
    prior = PRIORS["learned exponents"]
    assert_alike(BetaVAE(), prior, replays, STEPS - WARM_UP - 1, end=0.05)


@pytest.mark.parametrize(
    "objective", ["beta-vae", "beta-tcvae", "annealed-vae", "beta-vae, schedule"]
)
def test_steps_are_replayed_once_the_loss_is_steady(objective, replays):
    objective = OBJECTIVES[objective]
    assert_alike(objective, PRIORS["learned exponents"], replays, 10 - WARM_UP, steps=20)


@pytest.mark.parametrize("objective", ["factor-vae", "beta-vae"])
def test_an_companion_and_a_rising_weight_are_not_replayed(objective, replays):
    objective = OBJECTIVES[objective]
    assert_alike(
        objective, PRIORS["isa"], replays, 0, steps=20 if objective.name != "beta-vae" else 10
    )


def test_a_resumed_run_is_the_whole_one(replays):
    objective, prior = BetaVAE(), PRIORS["learned exponents, standardised"]
    whole, first, second = (fresh_state(objective, prior()) for _ in range(3))
    expected = [report.to_floats() for report in steps_of(whole, objective)]
    found = [next(steps).to_floats() for steps in [steps_of(first, objective)] for _ in range(6)]
    second.load_state_dict(first.state_dict())
    assert all(torch.is_tensor(group["lr"]) for group in second.optimizer.param_groups)
    assert found + [report.to_floats() for report in steps_of(second, objective)] == expected


def test_a_change_between_two_steps_is_followed(replays):
    """Exponents that are frozen, Adam's settings, and another state, in the middle of training."""
    objective, prior = BetaVAE(), PRIORS["learned exponents"]
    changes = {
        6: lambda state: state.model.prior.freeze(),
        12: lambda state: state.optimizer.param_groups[0].update(betas=(0.5, 0.9)),
        18: lambda state: state.load_state_dict(fresh_state(objective, prior()).state_dict()),
        24: lambda state: setattr(state.model, "network_dtype", torch.bfloat16),
    }
    found = []
    for graphs in (True, False):
        state = fresh_state(objective, prior())
        steps = steps_of(state, objective, steps=40, graphs=graphs)
        found.append([])
        for count in range(30):
            found[-1].append(next(steps).to_floats())
            changes.get(count, lambda state: None)(state)
    assert found[0] == found[1]
    assert len(replays) > 8


def test_a_batch_of_another_size_is_taken_without_a_graph(replays):
    class Uneven:
        def __len__(self) -> int:
            return 100

        def minibatch(self, seed, step, batch_size, device=None):
            return images().minibatch(seed, step, batch_size)[: 20 if step % 5 == 4 else 32]

    assert_alike(BetaVAE(), PRIORS["isa"], replays, 5, data=Uneven())
    assert set(replays) == {32}


def test_what_cannot_be_recorded_is_taken_step_by_step(replays):
    class Waiting(nn.Linear):
        def forward(self, x):
            return super().forward(x / max(float(x.abs().max()), 1.0))

    def state() -> TrainState:
        torch.manual_seed(0)
        _, decoder = build_networks("mlp", SHAPE, 2, width=8)
        model = VAE(
            nn.Sequential(nn.Flatten(), Waiting(64, 4)),
            decoder,
            build_prior("normal", 2),
            BernoulliLikelihood(),
        )
        made = TrainState(model)
        tensor_learning_rates(made)
        return made

    one_by_one, graphed = state(), state()
    expected = [r.to_floats() for r in steps_of(one_by_one, BetaVAE(), graphs=False)]
    with pytest.warns(
        UserWarning, match="cannot be recorded .*not permitted.* more slowly"
    ) as seen:
        found = [r.to_floats() for r in steps_of(graphed, BetaVAE())]
    assert (found, replays, len(seen)) == (expected, [], 1)


def test_reports_of_replayed_steps_are_kept(replays):
    reports = list(steps_of(fresh_state(BetaVAE(), PRIORS["isa"]()), BetaVAE()))
    losses = [report.to_floats()["loss"] for report in reports]
    assert len(set(losses)) == STEPS


def test_only_code_that_does_the_same_at_every_step_can_be_graphed(monkeypatch):
    class Own(nn.ReLU):
        pass

    def allowed(activation=nn.ReLU, objective=None, hook=False) -> bool:
        prior = PRIORS["isa"]()
        encoder = nn.Sequential(nn.Flatten(), activation(), nn.Linear(64, 2 * prior.n_latents))
        _, decoder = build_networks("mlp", SHAPE, prior.n_latents, width=8)
        model = VAE(encoder, decoder, prior, BernoulliLikelihood())
        if hook:
            encoder.register_forward_hook(lambda *_: None)
        return can_be_graphed(model, objective or BetaVAE())

    assert not allowed()
    monkeypatch.setattr(VAE, "device", torch.device("cuda", 0))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert allowed()
    assert not allowed(activation=Own)
    assert not allowed(hook=True)
    assert not allowed(objective=BetaVAE(kl_estimator="analytic"))
