"""Minibatch estimates of the aggregate posterior against their formulas and each other."""

import itertools
import math

import jaxtyping
import pytest
import torch
from torch.distributions import Normal

from isavae.distributions.mixtures import minibatch, pairs
from isavae.distributions.mixtures.minibatch import (
    MinibatchWeights,
    log_densities,
    log_joint_and_marginals,
    log_marginals,
)
from tests.largest_tensor import LargestTensor

ESTIMATORS = {
    "weighted": MinibatchWeights.weighted,
    "stratified": MinibatchWeights.stratified,
    "stratified_published": MinibatchWeights.stratified_published,
}


def posterior_batch(kind: str, batch: int, latents: int = 3) -> list[torch.Tensor]:
    """Samples, means and log-stds of a batch, float64, that require gradients."""
    generator = torch.Generator().manual_seed(batch)
    normal = torch.randn(3, batch, latents, generator=generator, dtype=torch.float64)
    uniform = torch.rand(batch, latents, generator=generator, dtype=torch.float64)
    width = torch.linspace(0, 1, latents, dtype=torch.float64)
    mean, log_std = {
        "active": (normal[0] * width, -3 * width + 0.3 * normal[1]),
        "stds from 1e-3 to 2": (normal[0], math.log(1e-3) + math.log(2e3) * uniform),
        "pruned": (1e-3 * normal[0], 0.01 * normal[1]),
        "collapsed": (torch.full_like(normal[0], 0.7), torch.full_like(normal[0], -3.0)),
    }[kind]
    z = mean + log_std.exp() * normal[2]
    return [x.requires_grad_() for x in (z, mean, log_std)]


def values_and_gradients(kind: str, batch: int, name: str, exact: bool):
    z, mean, log_std = leaves = posterior_batch(kind, batch)
    weights = ESTIMATORS[name](batch, 737_280)
    values = log_marginals(z, mean, log_std.exp(), weights, exact=exact)
    return values.detach(), torch.autograd.grad(values.sum(), leaves)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(
    ("kind", "batch"),
    [
        *itertools.product(["active", "pruned", "collapsed"], [64, 700, 2048]),
        ("stds from 1e-3 to 2", 64),
        ("stds from 1e-3 to 2", 512),
    ],
)
def test_fast_marginals_agree_with_all_pairs(kind, batch, name, monkeypatch):
    monkeypatch.setattr(minibatch, "_pairs_are_cheaper", lambda batch, size: False)
    values, gradients = values_and_gradients(kind, batch, name, exact=False)
    exact_values, exact_gradients = values_and_gradients(kind, batch, name, exact=True)
    torch.testing.assert_close(values, exact_values, atol=1e-3, rtol=0)
    for gradient, expected in zip(gradients, exact_gradients, strict=True):
        assert (gradient - expected).norm() <= 1e-3 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", ["active", "stds from 1e-3 to 2", "pruned", "collapsed"])
def test_fast_marginals_of_large_batches_agree_with_all_pairs(kind, name, monkeypatch):
    test_fast_marginals_agree_with_all_pairs(kind, 16_384, name, monkeypatch)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", ["active", "stds from 1e-3 to 2", "pruned", "collapsed"])
@pytest.mark.parametrize(
    ("batch", "dtype"), [(64, torch.float64), (64, torch.float32), (300, torch.float64)]
)
def test_joint_and_marginals_are_those_of_all_pairs(kind, batch, dtype, name):
    leaves = posterior_batch(kind, batch)
    weights = ESTIMATORS[name](batch, 737_280)
    slopes = torch.linspace(-1, 2, batch * 4, dtype=torch.float64).reshape(batch, 4)

    def both(function, dtype):
        z, mean, log_std = leaves
        joint, marginals = function(*(x.to(dtype) for x in (z, mean, log_std.exp())), weights)
        values = torch.cat([joint[:, None], marginals], dim=1).double()
        return values.detach(), torch.autograd.grad((slopes * values).sum(), leaves)

    def of_all_pairs(*sample):
        groups = [slice(0, 3), *(slice(j, j + 1) for j in range(3))]
        values = log_densities(*sample, groups)
        return values[:, 0], values[:, 1:]

    values, gradients = both(lambda *s: log_joint_and_marginals(*s, exact=True), dtype)
    expected_values, expected = both(of_all_pairs, torch.float64)
    # Rounding z moves a deviation by |z| / σ roundings; the polynomials of the pairs lose (z / σ)².
    tolerance = {torch.float32: 1e-3, torch.float64: 1e-8}[dtype]
    torch.testing.assert_close(values, expected_values, atol=tolerance, rtol=0)
    for gradient, right in zip(gradients, expected, strict=True):
        assert (gradient - right).norm() <= tolerance * right.norm()


def test_far_components_do_not_make_gradients_nan():
    z = torch.tensor([[0.0], [1e30]], requires_grad=True)
    std = torch.full((2, 1), 1e-20, requires_grad=True)
    joint, marginals = log_joint_and_marginals(z, z.detach(), std, MinibatchWeights.weighted(2, 9))
    assert joint.isfinite().all()
    gradients = torch.autograd.grad(joint.sum() + marginals.sum(), (z, std))
    assert all(g.isfinite().all() for g in gradients)


def test_the_fast_form_is_used_and_is_not_the_exact_one():
    values, _ = values_and_gradients("active", 2048, "weighted", exact=False)
    exact, _ = values_and_gradients("active", 2048, "weighted", exact=True)
    assert 0 < (values - exact).abs().max() < 1e-3


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("stds", [6.0, 9.0, 12.0, 30.0])
def test_samples_far_out_have_at_least_the_density_of_their_own_component(stds, name):
    """There the grids' error is larger than the density, and may be negative."""
    batch = 1024
    mean = 0.1 * torch.randn(batch, 8, generator=torch.Generator().manual_seed(0)).double()
    std = torch.full_like(mean, 0.01)
    std[2] = 0.3
    z = mean.clone()
    z[2] += stds * std[2]
    found = log_marginals(z, mean, std, ESTIMATORS[name](batch, batch))
    least = Normal(mean[2], std[2]).log_prob(z[2]) - 2 * math.log(batch)
    assert (found[2] >= least - 1e-9).all()
    assert found.isfinite().all()


def test_too_fine_a_grid_falls_back_to_pairs_and_says_so_once():
    minibatch._warn_of_pairs.cache_clear()
    z, mean, log_std = (x.detach() for x in posterior_batch("active", 600, latents=1))
    std = log_std.exp() * 1e-7
    weights = MinibatchWeights.weighted(600, 600)
    with pytest.warns(UserWarning, match="all pairs"):
        fast = log_marginals(z, mean, std, weights)
    assert torch.equal(fast, log_marginals(z, mean, std, weights, exact=True))
    log_marginals(z, mean, std, weights)  # a second warning would be an error


def dense_weights(name: str, batch: int, n: int) -> torch.Tensor:
    """The weight matrices of Chen et al. 2018, and of their code, written out."""
    if name == "weighted":
        return torch.full((batch, batch), 1 / (n * batch), dtype=torch.float64)
    m = batch - 1
    weights = torch.full((batch, batch), 1 / m, dtype=torch.float64)
    if name == "stratified":
        for i in range(batch):
            weights[i, i] = 1 / n
            weights[i, (i + 1) % batch] = (n - m) / (n * m)
        return weights
    weights.view(-1)[:: m + 1] = 1 / n
    weights.view(-1)[1 :: m + 1] = (n - m) / (n * m)
    weights[m - 1, 0] = (n - m) / (n * m)
    return weights


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("groups", [[slice(0, 4)], [slice(0, 1), slice(1, 4)]])
def test_densities_are_their_formula(name, groups, monkeypatch):
    monkeypatch.setattr(pairs, "_BLOCK", 21)  # blocks of three rows
    z, mean, log_std = posterior_batch("active", 7, latents=4)
    weights = ESTIMATORS[name](7, 50)
    densities = log_densities(z, mean, log_std.exp(), weights, groups)
    by_pair = Normal(mean, log_std.exp()).log_prob(z[:, None])
    expected = torch.stack([by_pair[..., g].sum(-1) for g in groups], -1)
    expected = (expected + dense_weights(name, 7, 50).log()[..., None]).logsumexp(1)
    torch.testing.assert_close(densities, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("groups", [[slice(0, 3)], [slice(0, 1), slice(1, 3)]])
def test_density_gradients(groups, monkeypatch):
    monkeypatch.setattr(pairs, "_BLOCK", 10)  # blocks of two rows
    z, mean, log_std = posterior_batch("active", 5)
    weights = MinibatchWeights.stratified(5, 20)
    assert torch.autograd.gradcheck(
        lambda z, mean, log_std: log_densities(z, mean, log_std.exp(), weights, groups),
        (z, mean, log_std),
    )


@pytest.mark.parametrize(
    ("name", "unbiased"), [("stratified", True), ("stratified_published", False)]
)
def test_stratified_weights_average_to_the_aggregate_posterior(name, unbiased):
    """Over all ordered batches of 3 out of 5 images that begin with image 0, at a fixed z."""
    n, size = 5, 3
    components = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimates = []
    row = torch.exp(ESTIMATORS[name](size, n).logs)
    for position in range(size):
        for others in itertools.permutations(range(1, n), size - 1):
            batch = [*others[:position], 0, *others[position:]]
            estimates.append(row[position] @ components[batch])
    mean = torch.stack(estimates).mean()
    assert torch.isclose(mean, components.mean()) == unbiased


@pytest.mark.parametrize("exact", [True, False])
def test_no_tensor_holds_all_pairs_let_alone_those_of_every_latent(exact):
    """Forward and backward of the joint, of a subspace and of the marginals."""
    batch, latents = 1500, 3
    z, mean, log_std = posterior_batch("active", batch, latents)
    weights = MinibatchWeights.stratified(batch, 737_280)
    with LargestTensor() as largest:
        std = log_std.exp()
        joint = log_densities(z, mean, std, weights, [slice(0, latents), slice(0, 2)])
        (joint.sum() + log_marginals(z, mean, std, weights, exact=exact).sum()).backward()
    assert batch < largest.numbers <= pairs._BLOCK < batch * batch


def test_float32_samples_of_narrow_posteriors_keep_their_precision():
    z, mean, log_std = (x.detach() for x in posterior_batch("stds from 1e-3 to 2", 128))
    weights = MinibatchWeights.weighted(128, 128)
    whole = [slice(0, 3)]
    single = log_densities(
        (z + 30).float(), (mean + 30).float(), log_std.exp().float(), weights, whole
    )
    rounded = [x.float().double() for x in (z + 30, mean + 30, log_std.exp())]
    torch.testing.assert_close(single, log_densities(*rounded, weights, whole).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_densities_hold_to_stds_of_a_millionth_of_the_range(dtype):
    """Against differences, of which nothing cancels."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.rand(256, 3, generator=generator).to(dtype)
    std = torch.full_like(mean, 1e-6)
    z = mean + std * torch.randn(256, 3, generator=generator).to(dtype)
    found = log_densities(z, mean, std, MinibatchWeights.weighted(256, 1), [slice(0, 3)])[:, 0]
    pairs = torch.distributions.Normal(mean.double(), std.double()).log_prob(z.double()[:, None])
    expected = pairs.sum(2).logsumexp(1) - math.log(256)
    assert (found.double() - expected).abs().max() < 1e-3


@pytest.mark.parametrize("exact", [True, False])
def test_float32_posteriors_of_a_thousandth_of_their_spread_keep_their_precision(exact):
    """The centre of means about 0 and 1 is no multiple of theirs: differences are rounded."""
    generator = torch.Generator().manual_seed(1)
    mean = 1 + torch.randn(512, 4, generator=generator)
    std = torch.full_like(mean, 1e-3)
    z = mean + std * torch.randn(512, 4, generator=generator)
    weights = MinibatchWeights.weighted(512, 5120)
    wide = [x.double() for x in (z, mean, std)]
    pairs = Normal(wide[1], wide[2]).log_prob(wide[0][:, None])  # samples, components, latents
    joint = pairs.sum(-1).logsumexp(1) - math.log(5120 * 512)
    marginals = pairs.logsumexp(1) - math.log(5120 * 512)
    found = log_densities(z, mean, std, weights, [slice(0, 4)])
    torch.testing.assert_close(found[:, 0].double(), joint, rtol=0, atol=1e-5)
    found = log_marginals(z, mean, std, weights, exact=exact)
    torch.testing.assert_close(found.double(), marginals, rtol=0, atol=1e-5 if exact else 1e-3)


@pytest.mark.parametrize(("name", "least"), [("stratified", 2), ("stratified_published", 3)])
def test_stratified_weights_need_other_samples(name, least):
    make = getattr(MinibatchWeights, name)
    assert make(least, 10).logs.isfinite().all()
    with pytest.raises(ValueError, match=f"batch of {least} or more"):
        make(least - 1, 10)


@pytest.mark.parametrize("sizes", [(0, 10), (10, 0), (-1, 10)])
def test_weights_need_samples(sizes):
    with pytest.raises(ValueError, match="one or more samples"):
        MinibatchWeights.weighted(*sizes)


def test_second_derivatives_of_small_batches_are_refused_not_wrong():
    z, mean, log_std = posterior_batch("active", 8)
    joint, _ = log_joint_and_marginals(z, mean, log_std.exp(), MinibatchWeights.weighted(8, 80))
    (slope,) = torch.autograd.grad(joint.square().sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("function", [log_marginals, log_joint_and_marginals])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_samples_of_low_precision_and_integers(function, dtype, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users run it
    z, mean, log_std = (x.detach().float() for x in posterior_batch("pruned", 16))
    weights, std = MinibatchWeights.weighted(16, 160), log_std.exp()
    right = function((3 * z).to(dtype).float(), mean, std, weights)
    std = std if dtype == torch.int64 else std.to(dtype)
    found = function((3 * z).to(dtype), mean.to(std.dtype), std, weights)
    for x, expected in zip(found, right, strict=True):
        assert x.dtype == std.dtype
        torch.testing.assert_close(x.float(), expected, rtol=0.01, atol=0.1)


def test_only_small_batches_hold_all_pairs(monkeypatch):
    used = []

    class Counted:
        @staticmethod
        def apply(z, *others):
            used.append(z.shape)
            return pairs.LogSumsOfSmallBatch.apply(z, *others)

    monkeypatch.setattr(minibatch, "LogSumsOfSmallBatch", Counted)
    for shape in ((256, 3), (257, 3), (256, 40)):
        z = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        weights = MinibatchWeights.weighted(shape[0], 9_999)
        log_joint_and_marginals(z, z, torch.ones(shape), weights)
    assert used == [(256, 3)]


def test_latents_keep_their_order_where_some_are_taken_by_pairs():
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, 700, 3, generator=generator, dtype=torch.float64)
    std = torch.tensor([0.5, 0.8, 1e-3], dtype=torch.float64).expand(700, 3)
    weights = MinibatchWeights.weighted(700, 9_999)
    sample = mean + std * noise, mean, std, weights
    sizes = [size[0] for size in minibatch.Ladder.covering(*(a.T for a in sample[:3])).grids.sizes]
    order = [members for members, _ in minibatch._shares(sizes, 700)]
    assert order == [[2], [0, 1]]
    found = log_marginals(*sample)
    torch.testing.assert_close(found, log_marginals(*sample, exact=True), rtol=0, atol=2e-3)
