"""Every objective against a literal transcription of its formula, its gradient, and its limits."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

from isavae.models import (
    DIPVAEI,
    DIPVAEII,
    OBJECTIVES,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    Companion,
    ControlVAE,
    FactorVAE,
    Objective,
    VAEOutput,
    build_prior,
    estimate_kl,
)

N_DATA, BATCH, LATENT = 50, 6, 4
PRIORS = ["normal", "laplace", "student-t(3.5)", "gennorm(4)", "2.1[2.2*2, 1.9*2]"]


def pass_of(text: str, batch: int = BATCH, seed: int = 0) -> VAEOutput:
    """One pass in float64 whose posterior and sample are leaves that require gradients."""
    torch.manual_seed(seed)
    mean = torch.randn(batch, LATENT, dtype=torch.float64, requires_grad=True)
    log_std = (torch.randn(batch, LATENT, dtype=torch.float64) / 3 - 1).requires_grad_()
    return output_at(text, mean, log_std, torch.randn(batch, LATENT, dtype=torch.float64))


def output_at(text, mean, log_std, noise) -> VAEOutput:
    posterior = Independent(Normal(mean, log_std.exp(), validate_args=False), 1)
    z = mean + log_std.exp() * noise
    x = torch.linspace(0, 1, len(mean) * 4, dtype=torch.float64).view(-1, 1, 2, 2)
    likelihood = Independent(Bernoulli(logits=z.view(-1, 1, 2, 2), validate_args=False), 3)
    return VAEOutput(x, z, posterior, build_prior(text, LATENT).double()(), likelihood)


def literal_parts(output: VAEOutput):
    """Mean log p(x|z), log q(z|x), log p(z) and the pairwise log q(z_ij|x_m)."""
    normal = output.posterior.base_dist
    pairs = Normal(normal.loc[None], normal.scale[None]).log_prob(output.z[:, None])
    log_q = torch.stack([pairs[i, i].sum() for i in range(len(output.z))])
    reconstruction = output.likelihood.base_dist.log_prob(output.x).sum((1, 2, 3)).mean()
    return reconstruction, log_q, output.prior.log_prob(output.z), pairs


def loss(objective, output, step=0, companion=None):
    return objective(output, step=step, n_data=N_DATA, companion=companion).loss


@pytest.mark.parametrize("text", PRIORS)
def test_beta_vae(text):
    output = pass_of(text)
    reconstruction, log_q, log_p, _ = literal_parts(output)
    expected = 3.0 * (log_q - log_p).mean() - reconstruction
    torch.testing.assert_close(loss(BetaVAE(3.0), output), expected)


@pytest.mark.parametrize("text", PRIORS)
@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
def test_tcvae(text, estimator):
    output = pass_of(text)
    reconstruction, log_q, log_p, pairs = literal_parts(output)
    weights = torch.full((BATCH, BATCH), 1 / (N_DATA * BATCH), dtype=torch.float64)
    if estimator == "stratified":
        others = BATCH - 1
        weights.fill_(1 / others)
        for i in range(BATCH):
            weights[i, i] = 1 / N_DATA
            weights[i, (i + 1) % BATCH] = (N_DATA - others) / (N_DATA * others)
    joint = (pairs.sum(-1) + weights.log()).logsumexp(1)
    product = (pairs + weights.log()[..., None]).logsumexp(1).sum(1)
    expected = (
        0.5 * (log_q - joint) + 4.0 * (joint - product) + 2.0 * (product - log_p)
    ).mean() - reconstruction
    objective = BetaTCVAE(beta=4.0, alpha=0.5, gamma=2.0, estimator=estimator)
    torch.testing.assert_close(loss(objective, output), expected)


def test_tcvae_between_subspaces_leaves_dependence_within_them_free():
    output = pass_of("2.1[2.2*3, 1.9*1]")
    reconstruction, log_q, log_p, pairs = literal_parts(output)
    joint = pairs.sum(-1).logsumexp(1) - math.log(N_DATA * BATCH)
    first = pairs[..., :3].sum(-1).logsumexp(1) - math.log(N_DATA * BATCH)
    second = pairs[..., 3].logsumexp(1) - math.log(N_DATA * BATCH)
    parts = first + second
    expected = (log_q - joint + 4.0 * (joint - parts) + parts - log_p).mean() - reconstruction
    torch.testing.assert_close(loss(BetaTCVAE(4.0, between="subspaces"), output), expected)


@pytest.mark.parametrize("text", PRIORS)
@pytest.mark.parametrize("between", ["latents", "subspaces"])
@pytest.mark.parametrize("estimator", ["weighted", "stratified", "stratified_published"])
def test_tcvae_with_unit_weights_is_the_elbo(text, between, estimator):
    output = pass_of(text)
    objective = BetaTCVAE(1.0, estimator=estimator, between=between)
    value = objective(output, step=0, n_data=N_DATA)
    torch.testing.assert_close(value.loss, loss(BetaVAE(1.0), output))
    torch.testing.assert_close(value.terms["kl"], estimate_kl(output).mean())


class FixedRatio(Companion):
    """A companion whose ratio is known: the sum of the latents."""

    def forward(self, z):
        return z.sum(1)

    def learn(self, terms, z, fresh, step, generator):
        return {}


def companion_of(objective):
    return FixedRatio() if isinstance(objective, FactorVAE) else objective.companion(LATENT)


def test_factor_vae():
    output = pass_of("normal")
    reconstruction, log_q, log_p, _ = literal_parts(output)
    expected = (log_q - log_p).mean() + 5.0 * output.z.sum(1).mean() - reconstruction
    torch.testing.assert_close(loss(FactorVAE(5.0), output, companion=FixedRatio()), expected)


@pytest.mark.parametrize(("objective", "within"), [(DIPVAEI(3.0, 7.0), 0), (DIPVAEII(3.0, 7.0), 1)])
@pytest.mark.parametrize("text", ["normal", "2.1[2.2*2, 1.9*2]"])
def test_dip_vae(text, objective, within):
    output = pass_of(text)
    reconstruction, log_q, log_p, _ = literal_parts(output)
    mean, std = output.posterior.base_dist.loc, output.posterior.base_dist.scale
    penalty = torch.zeros((), dtype=torch.float64)
    for i in range(LATENT):
        for j in range(LATENT):
            c = (mean[:, i] * mean[:, j]).mean() - mean[:, i].mean() * mean[:, j].mean()
            if i == j:
                c = c + within * (std[:, i] ** 2).mean()
                penalty = penalty + 7.0 * (c - output.prior.variance[i]) ** 2
            else:
                penalty = penalty + 3.0 * c**2
    expected = (log_q - log_p).mean() + penalty - reconstruction
    value = objective(output, step=0, n_data=N_DATA)
    torch.testing.assert_close(value.loss, expected)
    torch.testing.assert_close(value.terms["covariance_penalty"], penalty)


@pytest.mark.parametrize(("step", "capacity"), [(0, 0.0), (25, 5.0), (200, 20.0)])
def test_annealed_vae(step, capacity):
    output = pass_of("normal")
    reconstruction, log_q, log_p, _ = literal_parts(output)
    expected = 9.0 * ((log_q - log_p).mean() - capacity).abs() - reconstruction
    objective = AnnealedVAE(9.0, capacity=20.0, capacity_steps=100)
    torch.testing.assert_close(loss(objective, output, step), expected)


SCHEDULED = [
    BetaVAE(4.0),
    BetaTCVAE(4.0),
    BetaTCVAE(8.0, 2.0, 3.0, scheduled="all"),
    FactorVAE(4.0),
    DIPVAEI(4.0, 4.0),
    DIPVAEII(4.0, 4.0),
]


@pytest.mark.parametrize("objective", SCHEDULED)
def test_warmup_starts_at_a_plain_autoencoder_and_ends_at_the_full_weight(objective):
    output = pass_of("normal")
    warm = replace(objective, warmup=100)
    weights = [name for name in ("beta", "lambda_od", "lambda_d") if hasattr(objective, name)]
    weights = ["gamma"] if isinstance(objective, FactorVAE) else weights
    if getattr(objective, "scheduled", "") == "all":
        weights = ["alpha", "beta", "gamma"]
    off = replace(objective, **dict.fromkeys(weights, 0.0))
    at = {step: loss(warm, output, step, FixedRatio()) for step in (0, 50, 100, 10_000)}
    full = loss(objective, output, companion=FixedRatio())
    torch.testing.assert_close(at[0], loss(off, output, companion=FixedRatio()))
    torch.testing.assert_close(at[50], (at[0] + at[100]) / 2)
    torch.testing.assert_close(at[100], full)
    torch.testing.assert_close(at[10_000], full)


@pytest.mark.parametrize("objective", SCHEDULED)
def test_a_schedule_multiplies_the_weight_between_its_points(objective):
    output = pass_of("normal")
    falling = replace(objective, schedule=((10, 8.0), (20, 2.0), (30, 0.0)))
    factors = {0: 8.0, 10: 8.0, 15: 5.0, 20: 2.0, 25: 1.0, 30: 0.0, 99: 0.0}
    assert {step: falling.factor(step) for step in factors} == factors
    full = loss(objective, output, companion=FixedRatio())
    at = {step: loss(falling, output, step, FixedRatio()) for step in factors}
    torch.testing.assert_close(at[25], full)
    for step, factor in factors.items():
        torch.testing.assert_close(at[step] - at[99], factor * (full - at[99]))


def literal_controller(objective, kls):
    """β of every step by the formula, in Python's own numbers."""
    total, weights = 0.0, []
    for step, kl in enumerate(kls):
        rise = min(1.0, step / objective.capacity_steps) if objective.capacity_steps else 1.0
        error = objective.capacity * rise - kl
        total -= objective.integral * error
        total = min(max(total, -objective.proportional), objective.highest - objective.lowest)
        beta = objective.proportional / (1 + math.exp(error)) + total + objective.lowest
        weights.append(min(max(beta, objective.lowest), objective.highest))
    return weights


def test_a_controller_is_the_formula():
    """A KL above the capacity for long, up to the bound, then below it, down to the other one."""
    objective = ControlVAE(5.0, 20, proportional=0.5, integral=0.1, lowest=0.5, highest=3.0)
    controller, generator = objective.companion(LATENT), torch.Generator()
    kls = [2.0] * 10 + [9.0] * 30 + [1.0] * 40 + [6.0] * 5
    expected, found = literal_controller(objective, kls), []
    for step, kl in enumerate(kls):
        terms = {"kl": torch.tensor(kl)}
        found.append(float(controller(terms["kl"], step)))
        assert controller.learn(terms, torch.zeros(1, 2), torch.zeros, step, generator) == {}
    assert found == pytest.approx(expected, rel=1e-5)
    assert {0.5, 3.0} <= set(expected)
    assert len(set(expected)) > 20


def test_control_vae_weighs_the_kl_by_its_controller():
    """And no gradient passes through the weight."""
    mean, noise = torch.randn(2, 4, LATENT, dtype=torch.float64)
    output = output_at("normal", mean.requires_grad_(), torch.full_like(mean, -0.5), noise)
    reconstruction, log_q, log_p, _ = literal_parts(output)
    objective = ControlVAE(1e-3, 0, proportional=0.0, integral=0.5)
    kl = (log_q - log_p).mean()
    beta = 1.0 + 0.5 * (kl - 1e-3)
    value = objective(output, step=0, n_data=N_DATA, companion=objective.companion(LATENT))
    torch.testing.assert_close(value.loss, beta * kl - reconstruction)
    torch.testing.assert_close(value.terms["beta"], beta.detach())
    assert kl.requires_grad
    assert not value.terms["beta"].requires_grad


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("text", ["normal", "2.1[2.2*2, 1.9*2]"])
def test_gradients(name, text):
    # A controller's weight follows the KL, and no gradient follows the weight.
    constant = {"proportional": 0.0, "integral": 0.0} if name == "control-vae" else {}
    objective = OBJECTIVES[name](**constant)
    noise = torch.randn(4, LATENT, dtype=torch.float64, generator=torch.manual_seed(0))

    def of_moments(mean, log_std):
        output = output_at(text, mean, log_std, noise)
        return loss(objective, output, step=7, companion=companion_of(objective))

    mean = torch.randn(4, LATENT, dtype=torch.float64, requires_grad=True)
    log_std = torch.full((4, LATENT), -0.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(of_moments, (mean, log_std))


def test_kinds_of_kl_have_the_same_expectation():
    output = pass_of("normal", batch=1)
    mean, log_std = output.posterior.base_dist.loc, output.posterior.base_dist.scale.log()
    noise = torch.randn(100_000, LATENT, dtype=torch.float64)
    many = output_at("normal", mean.expand(100_000, -1), log_std.expand(100_000, -1), noise)
    exact = estimate_kl(many, "analytic")[0]
    for kind in ("sampled", "entropy"):
        sampled = estimate_kl(many, kind)
        assert abs(sampled.mean() - exact) < 5 * sampled.std() / 100_000**0.5


@pytest.mark.parametrize("kind", ["sampled", "analytic", "entropy"])
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "beta-tcvae"])
def test_every_objective_has_the_kind_of_kl_that_it_is_told(name, kind):
    output = pass_of("normal")
    objective = OBJECTIVES[name](kl_estimator=kind)
    value = objective(output, step=0, n_data=N_DATA, companion=companion_of(objective))
    assert value.terms["kl"] == estimate_kl(output, kind).mean()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_weights_in_words_have_every_weight(name):
    """Every number that multiplies a term, also where it differs from the others."""
    objective = OBJECTIVES[name]()
    wanted = ("alpha", "beta", "gamma", "capacity", "lambda_od", "lambda_d", "highest")
    weights = {w: 11.5 + k for k, w in enumerate(wanted) if hasattr(objective, w)}
    said = replace(objective, **weights).weights()
    assert weights
    assert all(f"{weight:g}" in said for weight in weights.values())


def test_an_objective_of_your_own_has_its_numbers_as_weights():
    @dataclass(frozen=True)
    class Own(Objective):
        strength: float = 2.5
        rounds: int = 3

        def __call__(self, output, *, step, n_data, companion=None):
            raise NotImplementedError

    assert Own().weights() == "strength 2.5"


def test_names_are_those_of_the_table():
    assert {name: objective().name for name, objective in OBJECTIVES.items()} == {
        name: name for name in OBJECTIVES
    }


def test_tcvae_visits_all_pairs_if_told_and_else_does_not():
    """A batch of 700 is large enough for the spectra, whose values differ a little."""
    output = pass_of("normal", batch=700)
    _, _, _, pairs = literal_parts(output)
    log_q = pairs.logsumexp(1).sum(1).mean() - LATENT * math.log(N_DATA * 700)

    def parts(exact):
        terms = BetaTCVAE(exact=exact)(output, step=0, n_data=N_DATA).terms
        return terms["parts_kl"] + output.prior.log_prob(output.z).mean()

    torch.testing.assert_close(parts(exact=True), log_q, rtol=1e-12, atol=0)
    assert 1e-9 < (parts(exact=False) - log_q).abs() < 1e-3


def test_factor_vaes_discriminator_is_the_papers_with_the_settings_given():
    objective = FactorVAE(
        discriminator_learning_rate=1e-5,
        discriminator_decay=0.9,
        discriminator_width=7,
        discriminator_share=0.25,
    )
    companion = objective.companion(3)
    assert (companion.learning_rate, companion.decay, companion.share) == (1e-5, 0.9, 0.25)
    linear = [m for m in companion.network if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(3, 7), *[(7, 7)] * 4, (7, 2)]
    leaky = [m for m in companion.network if isinstance(m, torch.nn.LeakyReLU)]
    assert [m.negative_slope for m in leaky] == [0.2] * 5
    assert companion.optimizer.defaults["betas"] == (0.5, 0.9)


def test_the_vaes_gradient_leaves_nothing_in_the_discriminator():
    output = pass_of("normal")
    companion = FactorVAE(discriminator_width=8).companion(LATENT).double()
    loss(FactorVAE(), output, companion=companion).backward()
    assert all(p.grad is None for p in companion.parameters())


def test_an_analytic_kl_without_a_closed_form_is_refused():
    with pytest.raises(ValueError, match="kl_estimator=sampled"):
        estimate_kl(pass_of("2.1[2.2*2, 1.9*2]"), "analytic")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: BetaTCVAE(alpha=-1.0), "alpha"),
        (lambda: BetaVAE(math.nan), "beta must be at least 0"),
        (lambda: FactorVAE(discriminator_share=0.0), "discriminator_share"),
        (lambda: loss(FactorVAE(), pass_of("normal")), "companion"),
        (lambda: AnnealedVAE(capacity_steps=-1), "capacity_steps"),
        (lambda: loss(ControlVAE(), pass_of("normal")), "companion"),
        (lambda: ControlVAE(lowest=2.0, highest=1.0), "at least lowest; got 1 and 2"),
        (lambda: ControlVAE(integral=math.nan), "integral"),
        (lambda: BetaVAE(warmup=3, schedule=((0, 1.0),)), "not both"),
        (lambda: DIPVAEI(schedule=((5, 1.0), (5, 2.0))), "rising steps"),
        (lambda: FactorVAE(schedule=((-5, 1.0),)), "below 0"),
        (lambda: BetaTCVAE(schedule=((5, math.inf),)), "infinite"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_the_discriminator_tells_its_share_of_the_batch_from_permuted_latents_of_another():
    """Two classes of equal weight; the other batch is one point, which permutations leave alone."""
    companion = FactorVAE(discriminator_width=8, discriminator_share=0.25).companion(2)
    z, asked = torch.randn(16, 2, generator=torch.manual_seed(0)), []

    def fresh(count):
        asked.append(count)
        return torch.full((count, 2), 5.0)

    of_true, of_false = (companion.network(x).softmax(1) for x in (z[:4], torch.full((1, 2), 5.0)))
    expected = -(of_true[:, 0].log().mean() + of_false[:, 1].log().mean()) / 2
    terms = companion.learn({}, z, fresh, 0, torch.Generator())
    assert asked == [4]
    torch.testing.assert_close(terms["discriminator"], expected.detach())


def test_the_discriminators_learning_rate_decays_over_a_thousand_steps():
    companion = FactorVAE(discriminator_width=8, discriminator_decay=0.25).companion(2)
    z, generator = torch.randn(4, 2), torch.Generator()
    companion.learn({}, z, lambda count: torch.randn(count, 2), 500, generator)
    assert companion.optimizer.param_groups[0]["lr"] == pytest.approx(0.5e-4)


def test_a_discriminator_learns_the_total_correlation_of_a_normal():
    """Two latents of correlation 0.8: the total correlation is -1/2 log(1 - 0.64) = 0.51 nats."""
    companion = FactorVAE(discriminator_width=64, discriminator_learning_rate=1e-3).companion(2)
    generator = torch.Generator().manual_seed(0)

    def draw(count):
        z = torch.randn(count, 2, generator=generator)
        return torch.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]], 1)

    for step in range(300):
        companion.learn({}, draw(512), draw, step, generator)
    found = companion(draw(20_000)).mean().item()
    assert found == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.08)
