"""Networks, priors, the VAE and β-VAE: shapes, counts, and the formulas they claim."""

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from isavae.models import (
    VAE,
    BernoulliLikelihood,
    BetaVAE,
    NoiseStream,
    build_likelihood,
    build_networks,
    build_prior,
    estimate_kl,
    noise_generator,
)

SHAPE = (1, 8, 8)


def small_vae(text="normal", n_latents=4):
    torch.manual_seed(0)
    prior = build_prior(text, n_latents)
    return VAE(*build_networks("mlp", SHAPE, n_latents), prior, BernoulliLikelihood())


def test_mlp_is_the_papers():
    encoder, decoder = build_networks("mlp", (1, 64, 64), 20)
    widths = [(m.in_features, m.out_features) for m in encoder if isinstance(m, torch.nn.Linear)]
    assert widths == [(4096, 1200), (1200, 1200), (1200, 40)]
    widths = [(m.in_features, m.out_features) for m in decoder if isinstance(m, torch.nn.Linear)]
    assert widths == [(20, 1200), (1200, 1200), (1200, 1200), (1200, 4096)]
    assert any(isinstance(m, torch.nn.ReLU) for m in encoder)
    assert any(isinstance(m, torch.nn.Tanh) for m in decoder)


def test_width_is_that_of_every_hidden_layer():
    for network in build_networks("mlp", SHAPE, 4, width=16):
        *hidden, _ = [m.out_features for m in network if isinstance(m, torch.nn.Linear)]
        assert set(hidden) == {16}
    for network in build_networks("conv", SHAPE, 4, width=16):
        normalised = [m for m in network.layers if isinstance(m, torch.nn.BatchNorm2d)]
        assert {m.num_features for m in normalised} == {16, 256}


def test_kl_of_one_sample_is_unbiased():
    """The mean of the one-sample KL over many samples is the closed form, within five errors."""
    torch.manual_seed(1)
    posterior = Normal(torch.randn(3, 4), torch.rand(3, 4) + 0.2)
    prior = build_prior("normal", 4)()
    exact = kl_divergence(Independent(posterior, 1), prior)
    z = posterior.sample((100_000,))
    sampled = Independent(posterior, 1).log_prob(z) - prior.log_prob(z)
    error = sampled.std(0) / len(z) ** 0.5
    assert ((sampled.mean(0) - exact).abs() < 5 * error).all()


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_beta_vae_is_its_formula(beta):
    model = small_vae("2.1[2.2*2, 2.2*2]")
    x = torch.rand(5, *SHAPE)
    output = model(x, noise_generator(0, 0, x.device))
    value = BetaVAE(beta)(output, step=0, n_data=100)
    logits = model.decoder(output.z)
    pixels = x * torch.nn.functional.logsigmoid(logits)
    pixels = pixels + (1 - x) * torch.nn.functional.logsigmoid(-logits)
    mean, log_std = model.encoder(x).chunk(2, -1)
    log_q = Normal(mean, log_std.exp()).log_prob(output.z).sum(-1)
    expected = beta * (log_q - model.prior().log_prob(output.z)) - pixels.sum((1, 2, 3))
    torch.testing.assert_close(value.loss, expected.mean())
    torch.testing.assert_close(value.loss, beta * value.terms["kl"] - value.terms["reconstruction"])


def test_isa_with_all_exponents_two_and_scale_two_is_the_standard_normal():
    z = torch.randn(7, 4)
    isa = build_prior("2[2*2, 2*2]", scale=2.0)()
    torch.testing.assert_close(isa.log_prob(z), build_prior("normal", 4)().log_prob(z))


def test_standardised_prior_has_unit_mean_variance():
    prior = build_prior("3[1.5*2, 8*3]", scale="standardised")()
    torch.testing.assert_close(prior.variance.mean(), torch.tensor(1.0))


def test_noise_depends_on_seed_step_and_stream_only():
    cpu = torch.device("cpu")

    def draw(*key):
        return torch.randn(4, generator=noise_generator(*key[:2], cpu, *key[2:])).tolist()

    first = draw(0, 5)
    torch.randn(100)
    assert draw(0, 5) == first
    streams = [(0, 5, stream) for stream in NoiseStream]
    keys = [(0, 6), (1, 5), (5, 0), *streams]
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: build_prior("isa", 10), "leave n_latents out"),
        (lambda: build_prior("2.1[2.2*4"), "column"),
        (lambda: build_prior("2.1[-1*4]"), "-1"),
        (lambda: build_networks("mpl", SHAPE, 4), "mlp"),
        (lambda: build_likelihood("binomial"), "bernoulli"),
        (lambda: BetaVAE(-1.0), "beta"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_streams_keep_their_numbers():
    """Results of runs that are already trained depend on them."""
    cpu = torch.device("cpu")
    seeds = [noise_generator(3, 7, cpu, stream).initial_seed() for stream in NoiseStream]
    words = [np.random.SeedSequence([3, 7, k]).generate_state(1, np.uint64)[0] for k in range(4)]
    assert seeds == [int(word) >> 1 for word in words]


@pytest.mark.parametrize("log_std", [-12.0, -17.0, -28.0, -300.0])
def test_stds_below_the_resolution_of_float32_keep_finite_gradients_that_lead_back(log_std):
    model = small_vae(n_latents=2)
    last = next(m for m in reversed(model.encoder) if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.5, -0.5, log_std, log_std]))
    output = model(torch.rand(5, *SHAPE), torch.Generator().manual_seed(0))
    assert output.posterior.base_dist.scale.detach().log().min() == pytest.approx(
        max(log_std, -16.0)
    )
    estimate_kl(output).sum().backward()
    gradients = [p.grad for p in model.encoder.parameters()]
    assert all(g.isfinite().all() for g in gradients)
    assert (last.bias.grad[2:] < -1).all()  # a step of descent widens the posterior
