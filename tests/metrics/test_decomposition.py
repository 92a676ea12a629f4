"""The parts of the KL against closed forms and quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.distributions import Independent, Normal

from isavae.distributions import LpNested, LpTree
from isavae.metrics import Codes, elbo_decomposition
from tests import hand_made


def within(found, expected, error):
    return abs(found - expected) < 4.5 * error + 1e-3


def two_latents():
    codes = hand_made.overlapping()
    return Codes(codes.mean[:, :2].clamp(-4, 4), codes.log_std[:, :2].clamp(min=-2.5))


def entropies_by_quadrature(codes):
    """H(z) and sum_j H(z_j) of the mixture on a plane, by the trapezoid rule."""
    axes = [np.linspace(-11, 11, 1101)] * 2
    mean, std = codes.mean.numpy(), codes.log_std.exp().numpy()
    densities = [norm.pdf(z[:, None], mean[:, j], std[:, j]) for j, z in enumerate(axes)]
    joint = densities[0] @ densities[1].T / len(codes)
    marginals = [d.mean(axis=1) for d in densities]
    cell = axes[0][1] - axes[0][0]
    entropy = [-np.sum(p * np.log(np.maximum(p, 1e-300))) for p in (joint, *marginals)]
    return entropy[0] * cell**2, (entropy[1] + entropy[2]) * cell


def test_parts_are_those_of_quadrature():
    codes = two_latents()
    prior = Normal(torch.zeros(2).double(), torch.tensor([1.0, 2.0]).double())
    found = elbo_decomposition(codes, prior, samples=20_000)
    joint, marginals = entropies_by_quadrature(codes)
    mean, log_std = codes.mean, codes.log_std
    of_posterior = float((log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(1).mean())
    second_moment = (mean.square() + (2 * log_std).exp()).mean(0).numpy()
    cross = sum(
        -norm.logpdf(0, 0, s) + m / (2 * s**2) for m, s in zip(second_moment, (1, 2), strict=True)
    )
    expected = {
        "index_code_information": joint - of_posterior,
        "total_correlation": marginals - joint,
        "dimension_wise_kl": cross - marginals,
    }
    for name, value in expected.items():
        assert within(found.terms[name], value, found.term_errors[name]), name
    assert within(found.value, cross - of_posterior, found.standard_error)
    assert found.value == pytest.approx(sum(found.terms.values()))
    assert found.standard_error < 0.03


def test_one_image_has_neither_index_information_nor_correlation():
    codes = Codes(torch.tensor([[0.5, -1.0]]), torch.tensor([[-0.3, 0.2]]))
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    found = elbo_decomposition(codes, prior)
    posterior = Normal(codes.mean, codes.log_std.exp())
    expected = torch.distributions.kl_divergence(posterior, Normal(0.0, 1.0)).sum().item()
    assert found.terms["index_code_information"] == pytest.approx(0.0, abs=1e-9)
    assert found.terms["total_correlation"] == pytest.approx(0.0, abs=1e-4)
    assert within(found.terms["dimension_wise_kl"], expected, found.standard_error)


def test_narrow_posteriors_in_float32_have_the_kl_of_the_closed_form():
    mean = torch.tensor([[3.0, -2.0], [1.0, 5.0]])
    codes = Codes(mean, torch.full((2, 2), -15.0))
    found = elbo_decomposition(codes, Normal(torch.zeros(2), 1.0))
    posterior = Normal(mean.double(), torch.tensor(-15.0).double().exp())
    prior = Normal(torch.tensor(0.0).double(), 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior).sum(1).mean().item()
    assert abs(found.value - expected) < 4.5 * found.standard_error
    assert found.standard_error < 0.01


def test_images_told_apart_give_log_n_nats():
    codes = hand_made.codes(hand_made.factor_columns())
    found = elbo_decomposition(codes, Normal(torch.zeros(3).double(), 1.0), samples=100)
    assert found.terms["index_code_information"] == pytest.approx(math.log(60), abs=1e-6)
    assert found.terms["total_correlation"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("std", [1e-7, 1e-9])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_posteriors_ten_million_times_narrower_than_their_means_give_log_n_nats(shift, std):
    """The squares of centred means are up to 1e19 variances, and cancel."""
    mean = shift + torch.randn(4096, 3, generator=torch.Generator().manual_seed(0)).double()
    codes = Codes(mean, torch.full_like(mean, math.log(std)))
    found = elbo_decomposition(codes, Normal(torch.zeros(3).double(), 1.0), samples=64)
    assert found.terms["index_code_information"] == pytest.approx(math.log(4096), abs=1e-6)


def test_correlation_within_a_subspace_is_none_between_subspaces():
    columns = hand_made.factor_columns((4, 4))
    codes = hand_made.codes(torch.cat([columns, columns], dim=1), sizes=(4, 4))
    prior = Normal(torch.zeros(4).double(), 1.0)
    paired = elbo_decomposition(codes, prior, subspaces=[[0, 2], [1, 3]], samples=200)
    assert paired.terms["total_correlation"] == pytest.approx(2 * math.log(4), abs=1e-3)
    assert paired.terms["subspace_total_correlation"] == pytest.approx(0.0, abs=1e-6)
    torn = elbo_decomposition(codes, prior, subspaces=[[0, 1], [2, 3]], samples=200)
    assert torn.terms["subspace_total_correlation"] == pytest.approx(2 * math.log(4), abs=1e-3)
    parts = "index_code_information subspace_total_correlation subspace_wise_kl".split()
    assert torn.value == pytest.approx(sum(torn.terms[name] for name in parts))


def test_an_lp_nested_prior_of_exponents_two_is_the_normal_prior():
    codes = hand_made.overlapping()
    tree = LpTree.isa(2.0, [(2.0, 2), (2.0, 2)])
    nested = elbo_decomposition(codes, LpNested(tree, scale=2.0), tree.subspaces, samples=500)
    normal = elbo_decomposition(codes, Normal(torch.zeros(4), 1.0), tree.subspaces, samples=500)
    assert nested.terms == pytest.approx(normal.terms, abs=1e-3)


def test_standard_errors_are_honest():
    codes = two_latents()
    prior = Normal(torch.zeros(2), 1.0)
    runs = [elbo_decomposition(codes, prior, [[0], [1]], samples=400, seed=s) for s in range(30)]
    for name in runs[0].terms:
        spread = np.std([run.terms[name] for run in runs], ddof=1)
        assert 0.6 < spread / np.mean([run.term_errors[name] for run in runs]) < 1.5, name


def test_what_does_not_fit_is_refused():
    codes = two_latents()
    with pytest.raises(ValueError, match="over the codes' 2 latents, but is over 3"):
        elbo_decomposition(codes, Normal(torch.zeros(3), 1.0))
    with pytest.raises(ValueError, match="deterministic"):
        elbo_decomposition(Codes(codes.mean, None), Normal(torch.zeros(2), 1.0))
    with pytest.raises(ValueError, match="every latent"):
        elbo_decomposition(codes, Normal(torch.zeros(2), 1.0), subspaces=[[0]])
