"""Laws that every prior, likelihood and objective obeys."""

import math

import pytest
import torch

from isavae.models import VAE, BernoulliLikelihood, build_networks
from isavae.runs import RunConfig
from isavae.training import TrainState, train
from tests.instances import LIKELIHOODS, OBJECTIVES, PRIORS

each_prior = pytest.mark.parametrize("name", PRIORS)
each_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


@each_prior
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_priors_return_a_distribution_of_their_latents(name, dtype):
    prior = PRIORS[name]().to(dtype)
    distribution = prior()
    assert distribution.event_shape == (prior.n_latents,)
    assert (
        distribution.sample((3,)).dtype
        == distribution.log_prob(torch.zeros(3, prior.n_latents).to(dtype)).dtype
    )
    covered = [j for part in prior.subspaces for j in range(prior.n_latents)[part]]
    assert covered == list(range(prior.n_latents))


@each_prior
def test_variances_of_priors_are_those_of_their_samples(name):
    torch.manual_seed(0)
    distribution = PRIORS[name]()()
    z = distribution.sample((200_000,))
    # Student-t's fourth moment is infinite: its variance is estimated poorly.
    torch.testing.assert_close(
        z.var(0), distribution.variance, rtol=0.2 if "student" in name else 0.03, atol=0
    )


@each_prior
def test_priors_come_back_from_their_state_to_the_bit(name):
    prior, restored = PRIORS[name](), PRIORS[name]()
    z = torch.randn(50, prior.n_latents, generator=torch.manual_seed(0))
    assert len(list(prior.parameters())) <= len(prior.learned_values())
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.5)
    if prior.learned_values():
        assert not torch.equal(prior().log_prob(z), restored().log_prob(z))
    restored.load_state_dict(prior.state_dict())
    assert torch.equal(prior().log_prob(z), restored().log_prob(z))
    assert prior.learned_values() == restored.learned_values()


@each_prior
def test_frozen_priors_ask_for_no_gradient_and_read_the_same(name):
    prior = PRIORS[name]()
    before = prior.learned_values()
    prior.freeze()
    z = torch.zeros(2, prior.n_latents)
    assert not prior().log_prob(z).requires_grad
    assert prior.learned_values() == before
    assert not any(value.requires_grad for value in before.values())
    prior.unfreeze()
    assert prior().log_prob(z).requires_grad == bool(before)


@each_likelihood
@pytest.mark.parametrize("channels", [1, 3])
def test_likelihoods_are_distributions_of_images(name, channels):
    likelihood = LIKELIHOODS[name]()
    decoded = torch.randn(2, channels * likelihood.parameters_per_pixel, 4, 6).requires_grad_()
    distribution = likelihood(decoded)
    assert distribution.batch_shape == (2,)
    assert distribution.event_shape == distribution.mean.shape[1:] == (channels, 4, 6)
    distribution.log_prob(torch.rand(2, channels, 4, 6)).sum().backward()
    assert (decoded.grad != 0).all()


@each_likelihood
def test_pixels_have_a_density_that_integrates_to_one(name):
    """Over two grey levels for Bernoulli pixels, by trapezoids else."""
    likelihood = LIKELIHOODS[name]().eval()
    for value in (-1.5, 0.3):
        decoded = torch.full((1, likelihood.parameters_per_pixel, 1, 1), value, dtype=torch.float64)
        if name == "bernoulli":
            x = torch.tensor([0.0, 1.0])
            weight = torch.ones(2)
        else:
            ends = (0.0, 1.0) if "bernoulli" in name else (-20.0, 20.0)
            x = torch.linspace(*ends, 200_001, dtype=torch.float64)
            weight = torch.full_like(x, x[1] - x[0])
            weight[[0, -1]] /= 2
        distribution = likelihood(decoded.expand(len(x), -1, -1, -1))
        density = distribution.log_prob(x.view(-1, 1, 1, 1)).exp()
        assert (density * weight).sum().item() == pytest.approx(1, abs=1e-5)


class Pixels:
    """Random images as a data set: minibatches are a function of (seed, step)."""

    def __init__(self):
        self.images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return 64

    def minibatch(self, seed, step, batch_size, device=None):
        generator = torch.Generator().manual_seed(seed * 1000 + step)
        return self.images[torch.randperm(64, generator=generator)[:batch_size]]


@pytest.mark.parametrize("prior_name", PRIORS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_with_every_prior(name, prior_name):
    """Twenty steps: all terms finite, prior and both networks changed, all that is learned said."""
    torch.manual_seed(0)
    objective, prior = OBJECTIVES[name], PRIORS[prior_name]()
    networks = build_networks("mlp", (1, 8, 8), prior.n_latents, width=16)
    model = VAE(*networks, prior, BernoulliLikelihood())
    before = {key: value.clone() for key, value in model.named_parameters()}
    state = TrainState(model, companion=objective.companion(prior.n_latents))
    reports = list(train(state, Pixels(), objective, steps=20, batch_size=16, seed=1))
    assert all(math.isfinite(v) for report in reports for v in report.to_floats().values())
    assert {"loss", "reconstruction", "kl", *prior.learned_values()} <= reports[-1].values.keys()
    assert not any(torch.equal(before[key], value) for key, value in model.named_parameters())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_come_back_from_a_configuration(name):
    config = RunConfig(objective=OBJECTIVES[name])
    assert RunConfig.parse(config.settings()).objective == OBJECTIVES[name]
