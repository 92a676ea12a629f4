"""Factor analysis under β (Appendix B.2): closed forms against optimisers, and what they show."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from isavae.toys import (
    FactorAnalysis,
    maximum_likelihood_weights,
    pruning_weights,
    rotation,
    second_moment,
)

W = torch.tensor([[1.3, -0.4], [0.2, 0.9], [-0.7, 0.5]], dtype=torch.float64)
D = torch.tensor([[0.5, 0.1, 0.0], [0.1, 0.4, 0.0], [0.0, 0.0, 0.8]], dtype=torch.float64)
X = torch.tensor([[1.0, -0.5, 0.3], [-2.0, 0.4, 1.1]], dtype=torch.float64)
MODEL = FactorAnalysis(W, D)
S = second_moment(X)

PLANE_NOISE = torch.diag(torch.tensor([0.1, 0.1], dtype=torch.float64))
PLANE_MOMENT = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
BEST = maximum_likelihood_weights(PLANE_MOMENT, PLANE_NOISE, 2)
ANGLES = torch.linspace(0, math.pi, 61, dtype=torch.float64)  # multiples of π/2 are nodes 0, 30, 60
ROTATED = FactorAnalysis(BEST @ rotation(ANGLES), PLANE_NOISE)


def free_energy_by_quadrature(beta, means, roots):
    """F_β of normal q's given by means and Cholesky factors: exact for its quadratic integrands."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    grid = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    mass = np.outer(weights, weights).ravel() / (2 * math.pi)
    total = 0.0
    for x, mean, root in zip(X.numpy(), means, roots, strict=True):
        z = mean + grid @ root.T
        fit = multivariate_normal(cov=D.numpy()).logpdf(x - z @ W.numpy().T)
        divergence = multivariate_normal(mean, root @ root.T).logpdf(z)
        divergence = divergence - multivariate_normal(np.zeros(2), np.eye(2)).logpdf(z)
        total += mass @ (fit - beta * divergence)
    return total / len(X)


def best_by_optimiser(beta, mean_field):
    def unpack(numbers):
        means, rest = numbers[:4].reshape(2, 2), numbers[4:].reshape(2, 3)
        roots = [
            np.array([[math.exp(a), 0], [0 if mean_field else c, math.exp(b)]]) for a, b, c in rest
        ]
        return means, roots

    result = minimize(
        lambda numbers: -free_energy_by_quadrature(beta, *unpack(numbers)), np.zeros(10), tol=1e-9
    )
    return -result.fun, *unpack(result.x)


@pytest.mark.parametrize("mean_field", [True, False])
@pytest.mark.parametrize("beta", [1.0, 2.5])
def test_free_energy_is_what_a_generic_optimiser_finds(beta, mean_field):
    value, means, roots = best_by_optimiser(beta, mean_field)
    assert float(MODEL.free_energy(S, beta, mean_field)) == pytest.approx(value, abs=1e-7)
    np.testing.assert_allclose(X @ MODEL.recognition(beta).T, means, atol=1e-4)
    covariance = MODEL.posterior_covariance(beta, mean_field)
    np.testing.assert_allclose(roots[0] @ roots[0].T, covariance, atol=1e-4)


def test_evidence_is_the_average_log_density():
    expected = multivariate_normal(cov=(W @ W.T + D).numpy()).logpdf(X.numpy()).mean()
    assert float(MODEL.log_evidence(S)) == pytest.approx(expected, abs=1e-12)


def test_joint_free_energy_at_beta_one_is_the_evidence():
    assert float(MODEL.free_energy(S, mean_field=False)) == pytest.approx(
        float(MODEL.log_evidence(S)), abs=1e-12
    )


@pytest.mark.parametrize("mean_field", [True, False])
def test_beta_one_half_is_inference_on_data_seen_twice(mean_field):
    twice = FactorAnalysis(torch.cat([W, W]), torch.block_diag(D, D))
    seen = twice.free_energy(second_moment(torch.cat([X, X], 1)), 1.0, mean_field)
    assert float(2 * MODEL.free_energy(S, 0.5, mean_field)) == pytest.approx(float(seen), abs=1e-10)


def test_maximum_likelihood_weights_are_a_maximum():
    moment = second_moment(
        torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    best = maximum_likelihood_weights(3 * moment, D, 2).requires_grad_()
    value = FactorAnalysis(best, D).log_evidence(3 * moment)
    (gradient,) = torch.autograd.grad(value, best)
    assert gradient.abs().max() < 1e-12
    curvature = torch.autograd.functional.hessian(
        lambda w: FactorAnalysis(w, D).log_evidence(3 * moment), best.detach()
    )
    assert torch.linalg.eigvalsh(curvature.reshape(6, 6)).max() < 1e-9  # zero along the rotation


def test_likelihood_is_flat_and_the_free_energy_tight_only_at_right_angles():
    evidence = ROTATED.log_evidence(PLANE_MOMENT)
    gap = evidence - ROTATED.free_energy(PLANE_MOMENT)
    assert float(evidence.max() - evidence.min()) < 1e-12
    np.testing.assert_allclose(gap[[0, 30, 60]], 0, atol=1e-12)
    others = torch.ones(61, dtype=torch.bool).index_fill(0, torch.tensor([0, 30, 60]), False)
    assert gap[others].min() > 1e-3
    assert int(gap[:31].argmax()) == 15  # worst at π/4


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_beta_never_moves_the_direction(beta):
    energy = ROTATED.free_energy(PLANE_MOMENT, beta)
    assert int(energy[:45].argmax()) in (0, 30)
    np.testing.assert_allclose(energy[[0, 30]], energy.max(), atol=1e-12)
    assert int(energy[:31].argmin()) == 15


def test_beta_scales_the_fluctuation():
    energies = [ROTATED.free_energy(PLANE_MOMENT, beta) for beta in (1.0, 1.5, 2.0)]
    depths = [float(energy.max() - energy.min()) for energy in energies]
    assert depths[0] < depths[1] < depths[2]


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_free_energy_prunes_where_the_likelihood_does_not_care(beta):
    alpha = torch.linspace(-1, 1, 81, dtype=torch.float64)
    model = FactorAnalysis(pruning_weights(alpha, contrast=0.8), PLANE_NOISE)
    evidence = model.log_evidence(PLANE_MOMENT)
    assert float(evidence.max() - evidence.min()) < 1e-12
    energy = model.free_energy(PLANE_MOMENT, beta)
    np.testing.assert_allclose(energy[[0, 40, 80]], energy.max(), atol=1e-12)
    assert (energy[[20, 60]] < energy.max() - 1e-3).all()


def test_magnitudes_matter_for_the_bias():
    """Equal column lengths make a rotation free; the more they differ, the more it costs."""
    lengths = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    gaps = []
    for length in lengths:
        weights = torch.diag(torch.stack([torch.ones_like(length), length])) @ rotation(ANGLES[15])
        model = FactorAnalysis(weights, PLANE_NOISE)
        gaps.append(float(model.log_evidence(PLANE_MOMENT) - model.free_energy(PLANE_MOMENT)))
    assert gaps[0] == pytest.approx(0, abs=1e-12)
    assert gaps[0] < gaps[1] < gaps[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FactorAnalysis(W, torch.eye(2, dtype=torch.float64)), "3 rows of W"),
        (lambda: FactorAnalysis(W, -D), "positive definite"),
        (lambda: MODEL.free_energy(S, beta=0.0), "beta must be positive"),
        (lambda: maximum_likelihood_weights(S, D, 4), "between 1 and the 3"),
    ],
)
def test_bad_input_gets_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_fluctuation_grows_with_beta_and_shrinks_in_the_form_of_replicated_data():
    """Experiment 3: the values in nats are those of an independent computation."""
    energies = torch.stack([ROTATED.free_energy(PLANE_MOMENT, beta) for beta in (1.0, 1.5, 2.0)])
    amplitudes = energies.amax(1) - energies.amin(1)
    assert amplitudes.tolist() == pytest.approx([0.446, 0.592, 0.706], abs=1e-3)
    replicated = amplitudes / torch.tensor([1.0, 1.5, 2.0])
    assert replicated.tolist() == pytest.approx([0.446, 0.395, 0.353], abs=1e-3)
