"""Convolutional networks for any size, and every likelihood against scipy."""

import pytest
import scipy.stats
import torch

from isavae.models import LIKELIHOODS, VAE, build_likelihood, build_networks, build_prior

SHAPES = [(1, 64, 64), (3, 64, 64), (1, 28, 28), (3, 32, 32), (1, 128, 128), (3, 20, 45), (1, 8, 8)]


def test_the_convolutional_net_is_the_published_one():
    encoder, decoder = build_networks("conv", (3, 64, 64), 10)

    def layers(net, kind):
        found = [m for m in net.modules() if isinstance(m, kind)]
        return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in found]

    down = [(3, 32, 4, 2), (32, 32, 4, 2), (32, 64, 4, 2), (64, 64, 4, 2)]
    assert layers(encoder, torch.nn.Conv2d) == [*down, (64, 512, 4, 1), (512, 20, 1, 1)]
    up = [(o, i, k, s) for i, o, k, s in reversed(down)]
    assert layers(decoder, torch.nn.ConvTranspose2d) == [(10, 512, 1, 1), (512, 64, 4, 1), *up]
    block = [torch.nn.BatchNorm2d, torch.nn.ReLU]
    kinds = [type(m) for m in encoder.layers]
    assert kinds == [*[torch.nn.Conv2d, *block] * 5, torch.nn.Conv2d, torch.nn.Flatten]
    transposed = torch.nn.ConvTranspose2d
    kinds = [type(m) for m in decoder.layers]
    assert kinds == [torch.nn.Unflatten, *[transposed, *block] * 5, transposed]


def test_other_sizes_lie_in_the_middle_of_the_next_power_of_two_among_zeros():
    torch.manual_seed(0)
    whole = build_networks("conv", (3, 64, 64), 2, width=4)
    part = build_networks("conv", (3, 20, 45), 2, width=4)
    for mine, other in zip(part, whole, strict=True):
        mine.eval().load_state_dict(other.eval().state_dict())
    x, z = torch.zeros(2, 3, 64, 64), torch.randn(2, 2)
    x[..., 22:42, 9:54] = torch.rand(2, 3, 20, 45)
    torch.testing.assert_close(part[0](x[..., 22:42, 9:54]), whole[0](x))
    torch.testing.assert_close(part[1](z), whole[1](z)[..., 22:42, 9:54])


@pytest.mark.parametrize(("side", "halvings"), [(5, 1), (8, 1), (9, 2), (28, 3), (128, 5)])
def test_the_number_of_halvings_follows_the_size(side, halvings):
    encoder, _ = build_networks("conv", (1, side, side), 2, width=2)
    assert sum(getattr(m, "stride", None) == (2, 2) for m in encoder.layers) == halvings


@pytest.mark.parametrize("shape", SHAPES)
def test_convolutional_vae_passes_images_of_any_size(shape):
    likelihood = build_likelihood("gaussian-pixelwise")
    networks = build_networks("conv", shape, 4, likelihood.parameters_per_pixel, width=4)
    model = VAE(*networks, build_prior("normal", 4), likelihood)
    output = model(torch.rand(2, *shape))
    loss = -output.likelihood.log_prob(output.x).mean() - output.prior.log_prob(output.z).mean()
    loss.backward()
    assert output.likelihood.mean.shape == (2, *shape)
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in model.parameters())


def test_padding_keeps_every_pixel_in_sight():
    """Each pixel of an odd-sized image moves the code."""
    torch.manual_seed(0)
    encoder, _ = build_networks("conv", (1, 9, 13), 2, width=16)
    x = torch.rand(2, 1, 9, 13, requires_grad=True)
    encoder.eval()(x).square().sum().backward()
    assert (x.grad != 0).all()


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("gaussian(0.3)", lambda loc: scipy.stats.norm(loc, 0.3)),
        ("laplace(0.3)", lambda loc: scipy.stats.laplace(loc, 0.3)),
    ],
)
def test_fixed_spreads_are_scipys(name, distribution):
    decoded, x = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    expected = torch.from_numpy(distribution(decoded.numpy()).logpdf(x.numpy()).sum((1, 2, 3)))
    found = build_likelihood(name)(decoded).log_prob(x)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "distribution"), [("gaussian", scipy.stats.norm), ("laplace", scipy.stats.laplace)]
)
def test_decoded_spreads_are_scipys(name, distribution):
    """Three channels of means, then three of spreads."""
    decoded, x = torch.randn(2, 6, 4, 4), torch.rand(2, 3, 4, 4)
    spread = 1e-3 + torch.log1p(decoded[:, 3:].exp())
    expected = distribution(decoded[:, :3].numpy(), spread.numpy()).logpdf(x.numpy()).sum((1, 2, 3))
    found = build_likelihood(f"{name}-pixelwise")(decoded).log_prob(x)
    torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
def test_a_shared_spread_is_learned(name):
    """By maximum likelihood it becomes the scale of the noise."""
    torch.manual_seed(0)
    likelihood = build_likelihood(name)
    noise = torch.distributions.Laplace(0.0, 0.1).sample((200, 1, 4, 4))
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (-likelihood(torch.zeros_like(noise)).log_prob(noise).mean()).backward()
        optimizer.step()
    found = likelihood(torch.zeros(1, 1, 1, 1)).base_dist.scale.item()
    expected = noise.std() if name == "gaussian" else noise.abs().mean()
    assert found == pytest.approx(expected.item(), rel=0.02)


def test_a_learned_spread_stays_above_a_quarter_of_a_grey_level():
    likelihood = build_likelihood("gaussian")
    with torch.no_grad():
        likelihood.raw.fill_(-200.0)
    assert likelihood(torch.zeros(1, 1, 2, 2)).stddev.unique().tolist() == [pytest.approx(1e-3)]


def test_a_calibrated_variance_is_the_mean_squared_error_of_the_batch():
    """Of all variances it makes the batch the most likely; gradients are those of log(error)."""
    likelihood = build_likelihood("gaussian-calibrated")
    decoded = torch.randn(5, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    x = torch.rand(5, 1, 3, 4, dtype=torch.float64)
    found = likelihood(decoded).log_prob(x)
    error = (x - decoded).square().mean()
    normal = torch.distributions.Normal(decoded, error.sqrt())
    torch.testing.assert_close(found, normal.log_prob(x).sum((1, 2, 3)))
    (slope,) = torch.autograd.grad(found.mean(), decoded)
    (expected,) = torch.autograd.grad(-6 * error.log(), decoded)
    torch.testing.assert_close(slope, expected)
    for other in (0.9, 1.1):
        normal = torch.distributions.Normal(decoded, (other * error).sqrt())
        assert normal.log_prob(x).sum() < found.sum()


def test_after_training_a_calibrated_variance_is_the_mean_over_the_last_batches():
    likelihood = build_likelihood("gaussian-calibrated")
    decoded = torch.zeros(2, 1, 2, 2)
    for size in (3.0, 1.0, 2.0):
        likelihood(decoded).log_prob(torch.full_like(decoded, size))
    kept = build_likelihood("gaussian-calibrated").eval()
    kept.load_state_dict(likelihood.state_dict())
    distribution = kept(decoded)
    assert distribution.variance.unique().tolist() == [pytest.approx((9 + 1 + 4) / 3)]
    normal = torch.distributions.Normal(0.0, (14 / 3) ** 0.5)
    x = torch.rand_like(decoded)
    torch.testing.assert_close(distribution.log_prob(x), normal.log_prob(x).sum((1, 2, 3)))
    assert kept.variance == likelihood.variance
    for _ in range(2000):
        likelihood(decoded).log_prob(torch.full_like(decoded, 0.5))
    assert likelihood.variance.item() == pytest.approx(0.25, rel=1e-3)


def test_bernoulli_and_its_slopes_are_those_of_torch_and_of_finite_differences():
    logits = torch.tensor([-200.0, -3, 0, 1e-3, 4, 200], dtype=torch.float64).view(1, 1, 2, 3)
    distribution = build_likelihood("bernoulli")(logits)
    theirs = torch.distributions.Bernoulli(logits=logits, validate_args=False)
    for value in (0.0, 0.3, 1.0):
        x = torch.full_like(logits, value)
        torch.testing.assert_close(distribution.log_prob(x), theirs.log_prob(x).sum((1, 2, 3)))
    logits = torch.linspace(-4, 4, 6, dtype=torch.float64).view(1, 1, 2, 3).requires_grad_()
    x = torch.rand_like(logits, requires_grad=True)

    def log_prob(logits, x):
        return build_likelihood("bernoulli")(logits).log_prob(x)

    assert torch.autograd.gradcheck(log_prob, (logits, x))
    assert torch.autograd.gradgradcheck(log_prob, (logits, x))


def test_continuous_bernoulli_integrates_to_one():
    likelihood = build_likelihood("continuous-bernoulli")
    x = torch.linspace(0, 1, 10_001).view(-1, 1, 1, 1)
    for logit in (-8.0, -0.3, 0.0, 1e-4, 2.0):
        density = likelihood(torch.full_like(x, logit)).log_prob(x).exp()
        assert torch.trapezoid(density, x.flatten()).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_likelihood_has_finite_gradients_for_extreme_decoders(name, channels):
    likelihood = build_likelihood(name)
    for size in (0.0, 1.0, 50.0):
        decoded = torch.full(
            (2, channels * likelihood.parameters_per_pixel, 4, 4), size, requires_grad=True
        )
        x = torch.zeros(2, channels, 4, 4)
        likelihood(decoded).log_prob(x).sum().backward()
        assert torch.isfinite(decoded.grad).all()


def test_bad_likelihoods_get_a_sentence():
    for name in ("gaussian(0)", "gaussian(x)", "laplace(-1)"):
        with pytest.raises(ValueError, match="positive number"):
            build_likelihood(name)
