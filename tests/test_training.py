"""The training loop beside the runs that use it."""

import torch

from isavae import training
from isavae.models import (
    VAE,
    BernoulliLikelihood,
    BetaVAE,
    FactorVAE,
    build_networks,
    build_prior,
)
from isavae.training import TrainState, learning_rate_share, train

SHAPE = (1, 8, 8)


class BlackAfterFiveSteps:
    """Random images for five steps, then black ones: most weights have no gradient any more."""

    def __len__(self) -> int:
        return 1000

    def minibatch(self, seed, step, batch_size, device=None):
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(batch_size, *SHAPE, generator=generator)
        return images * (step < 5)


def trained(steps: int) -> TrainState:
    torch.manual_seed(0)
    networks = build_networks("mlp", SHAPE, 2, width=16)
    state = TrainState(VAE(*networks, build_prior("normal", 2), BernoulliLikelihood()))
    for _ in train(state, BlackAfterFiveSteps(), BetaVAE(), steps=steps, batch_size=4, seed=0):
        pass
    return state


def denormals(state: TrainState) -> int:
    moments = [moment for of_one in state.optimizer.state.values() for moment in of_one.values()]
    tiny = torch.finfo(torch.float32).tiny
    return sum(int(((m != 0) & (m.abs() < tiny)).sum()) for m in moments)


def test_moments_without_gradients_are_cleared_and_no_weight_changes(monkeypatch):
    cleared = trained(900)
    assert denormals(cleared) == 0
    monkeypatch.setattr(training, "clear_tiny_moments", lambda optimizer: None)
    kept = trained(900)
    assert denormals(kept) > 500
    for name, weight in cleared.model.state_dict().items():
        assert torch.equal(weight, kept.model.state_dict()[name])


def test_a_state_of_a_gpu_goes_on_on_the_cpu():
    """There Adam counts its steps on the device, and says so in its state."""
    torch.manual_seed(0)
    networks, objective = (
        build_networks("mlp", SHAPE, 2, width=16),
        FactorVAE(discriminator_width=8),
    )
    model = VAE(*networks, build_prior("normal", 2), BernoulliLikelihood())
    state = TrainState(model, companion=objective.companion(2))

    def train_to(steps: int) -> list[float]:
        reports = train(state, BlackAfterFiveSteps(), objective, steps=steps, batch_size=4, seed=0)
        return [report.to_floats()["discriminator"] for report in reports]

    train_to(2)
    kept = state.state_dict()
    companion = kept["companion"]["_extra_state"]
    for group in kept["optimizer"]["param_groups"] + companion["param_groups"]:
        group |= {"capturable": True, "fused": True}
    state.load_state_dict(kept)
    assert all(value > 0 for value in train_to(4))
    assert state.step == 4


def test_the_discriminator_runs_in_the_precision_of_the_networks():
    """Its weights and their optimiser stay in float32."""
    torch.manual_seed(0)
    objective = FactorVAE(discriminator_width=64)
    networks = build_networks("mlp", SHAPE, 2, width=16)
    model = VAE(*networks, build_prior("normal", 2), BernoulliLikelihood())
    state = TrainState(model, companion=objective.companion(2))
    model.network_dtype, z = torch.bfloat16, torch.randn(100, 2)
    seen = []
    layer = state.companion.network[2]
    layer.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    next(train(state, BlackAfterFiveSteps(), objective, steps=1, batch_size=4, seed=0))
    assert seen == [torch.bfloat16] * 3  # for the VAE's loss, and its own two halves
    moments = state.companion.optimizer.state[layer.weight]["exp_avg"]
    assert layer.weight.dtype == moments.dtype == torch.float32
    rough = state.companion(z)
    state.companion.network_dtype = torch.float32
    exact = state.companion(z)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.02, rtol=0.05)


def test_learning_rates_fall_over_the_second_half_those_of_the_prior_too():
    torch.manual_seed(0)
    networks = build_networks("mlp", SHAPE, 2, width=16)
    prior = build_prior("2.1[2.2*2]", learn_exponents=True)
    state = TrainState(VAE(*networks, prior, BernoulliLikelihood()), 1e-3, 5e-4)
    steps = train(
        state, BlackAfterFiveSteps(), BetaVAE(), steps=8, batch_size=4, seed=0,
        learning_rate_end=0.1,
    )  # fmt: skip
    rates = [[group["lr"] for group in state.optimizer.param_groups] for _ in steps]
    shares = [1, 1, 1, 1, 1, *(learning_rate_share(k / 8, 0.1) for k in (5, 6, 7))]
    assert shares[5:] == sorted(shares[5:], reverse=True)
    assert 0.1 < shares[-1] < shares[5] < 1
    torch.testing.assert_close(rates, [[1e-3 * share, 5e-4 * share] for share in shares])


def test_a_resumed_run_goes_on_with_the_learning_rate_of_its_step():
    def losses(state: TrainState, count: int) -> list[float]:
        loop = train(
            state, BlackAfterFiveSteps(), BetaVAE(), steps=10, batch_size=4, seed=0,
            learning_rate_end=0.05,
        )  # fmt: skip
        return [next(loop).to_floats()["loss"] for _ in range(count)]

    whole = losses(trained(0), 10)
    begun = trained(0)
    first = losses(begun, 7)
    resumed = trained(0)
    resumed.load_state_dict(begun.state_dict())
    assert first + losses(resumed, 3) == whole
