"""Priors beyond the paper's, learned exponents and scales, and their bounds."""

import math

import pytest
import scipy.stats
import torch

from isavae.models import LpNestedPrior, build_prior
from isavae.models.bounded import BoundedValues
from isavae.runs import RunConfig, check_trainable


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("normal", scipy.stats.norm(scale=1.7)),
        ("laplace", scipy.stats.laplace(scale=1.7)),
        ("student-t(5)", scipy.stats.t(5, scale=1.7)),
        ("gennorm(3)", scipy.stats.gennorm(3, scale=1.7)),
    ],
)
def test_families_are_scipys(text, distribution):
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    prior = build_prior(text, 4, 1.7)
    expected = torch.from_numpy(distribution.logpdf(z.numpy()).sum(-1))
    torch.testing.assert_close(prior().log_prob(z).double(), expected, rtol=1e-5, atol=1e-5)
    standard = build_prior(text, 4, "standardised")()
    torch.testing.assert_close(standard.variance, torch.ones(4))


@pytest.mark.parametrize(("name", "shape"), [("student-t", 3.5), ("gennorm", 4.0)])
def test_a_family_without_its_shape_takes_the_documented_one(name, shape):
    z = torch.randn(9, 4)
    given, left_out = build_prior(f"{name}({shape})", 4), build_prior(name, 4)
    assert torch.equal(given().log_prob(z), left_out().log_prob(z))


def test_a_learned_scale_starts_where_it_is_told_and_has_a_gradient():
    for text, scale in (("normal", 1.0), ("laplace", 1.7), ("2.1[2*2, 2*2]", 1.7)):
        prior = build_prior(text, 4, scale, learn_scale=True)
        assert prior.learned_values()["prior_scale"].item() == pytest.approx(scale)
        prior().log_prob(torch.ones(4)).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in prior.parameters())


def test_learned_exponents_start_at_two_and_p0_stays():
    prior = build_prior("isa", learn_exponents=True)
    torch.testing.assert_close(prior.exponents, torch.tensor([2.1, 2, 2, 2, 2, 2]))
    optimizer = torch.optim.SGD(prior.parameters(), lr=0.1)
    (-prior().log_prob(torch.randn(50, 20)).mean()).backward()
    optimizer.step()
    assert prior.exponents[0] == torch.tensor(2.1)
    assert (prior.exponents[1:] != 2).all()
    assert list(prior.learned_values()) == ["p1", "p2", "p3", "p4", "p5"]


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_exponents_stay_valid_after_any_step(direction):
    prior = build_prior("2.1[2*2, 2*2]", learn_exponents=True, learn_p0=True, lowest_exponent=0.5)
    for lr in (1.0, 1e3, 1e30):
        optimizer = torch.optim.SGD(prior.parameters(), lr=lr)
        for parameter in prior.parameters():
            parameter.grad = direction * torch.ones_like(parameter)
        optimizer.step()
        assert ((prior.exponents >= 0.5) & (prior.exponents <= 100)).all()
        assert torch.isfinite(prior().log_prob(2 * torch.rand(5, 4))).all()  # 2^100 < 3e38
    bound = 0.5 if direction > 0 else 100.0
    torch.testing.assert_close(prior.exponents, torch.full((3,), bound))


def test_learning_finds_the_exponents_that_made_the_data():
    torch.manual_seed(0)
    z = build_prior("2.1[1.3*2, 4*2]")().sample((20_000,))
    prior = build_prior("2.1[2*2, 2*2]", learn_exponents=True)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        (-prior().log_prob(z).mean()).backward()
        optimizer.step()
    found = prior.exponents.tolist()
    assert found[0] == pytest.approx(2.1)
    assert found[1:] == [pytest.approx(1.3, rel=0.05), pytest.approx(4.0, rel=0.1)]


def test_frozen_exponents_stay_to_the_bit_also_after_loading():
    def step(prior, optimizer):
        optimizer.zero_grad()
        loss = -prior().log_prob(torch.randn(20, 4)).mean() + 0 * sum(
            p.sum() for p in prior.parameters()
        )
        if loss.requires_grad:
            loss.backward()
        optimizer.step()

    prior = build_prior("2.1[2*2, 2*2]", learn_exponents=True)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.1)
    step(prior, optimizer)
    prior.freeze()
    held = prior.exponents.clone()
    step(prior, optimizer)
    assert torch.equal(prior.exponents, held)
    restored = build_prior("2.1[2*2, 2*2]", learn_exponents=True)
    restored.load_state_dict(prior.state_dict())
    assert torch.equal(restored.exponents, held)
    assert not any(p.requires_grad for p in restored.parameters())
    restored.unfreeze()
    step(restored, torch.optim.Adam(restored.parameters(), lr=0.1))
    assert not torch.equal(restored.exponents, held)


def test_a_standardised_scale_follows_learned_exponents():
    prior = build_prior("2.1[2*2, 2*2]", None, "standardised", learn_exponents=True)
    with torch.no_grad():
        next(prior.parameters()).add_(1.0)
    torch.testing.assert_close(prior().variance.mean(), torch.tensor(1.0))


def test_values_that_are_not_learned_have_no_parameters():
    assert not list(build_prior("isa").parameters())
    assert not list(BoundedValues(torch.tensor([1e5]), [False]).parameters())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: build_prior("nromal"), "laplace"),
        (lambda: build_prior("laplace(x)"), "positive number"),
        (lambda: build_prior("student-t(1.5)", 4, "standardised"), "2 degrees"),
        (lambda: build_prior("normal", learn_exponents=True), "tree"),
        (lambda: build_prior("2.1[0.5*2]", learn_exponents=True), "between"),
        (
            lambda: build_prior(
                "2[2*2]", None, "standardised", learn_exponents=True, learn_scale=True
            ),
            "drop one",
        ),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_prior_of_one_exponent_is_its_family():
    z = torch.randn(7, 3)
    tree, family = build_prior("4[z, z, z]")(), build_prior("gennorm(4)", 3)()
    torch.testing.assert_close(tree.log_prob(z), family.log_prob(z))
    assert isinstance(build_prior("isa"), LpNestedPrior)
    assert math.isclose(build_prior("isa")().scale.item(), 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": "2*10001"}, "at most 10,000 latents; this one has 10,001"),
        ({"prior": "2*99999"}, "at most 10,000 latents; this one has 99,999"),
        ({"prior": "normal", "n_latents": 99_999}, "n_latents: input should be less than or equal"),
        (
            {"prior": f"2[{', '.join(['2[2[z]]'] * 10_000)}]"},
            "20,000 exponents; this one has 20,001",
        ),
        ({"prior": "2[" * 100 + "2*2" + "]" * 100}, "at most 100 levels"),
    ],
)
def test_priors_whose_check_would_take_long_are_refused(settings, message):
    """Of 20,000 levels it took 23 seconds."""
    with pytest.raises(ValueError, match=message) as caught:
        check_trainable(RunConfig.parse(settings))
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "prior",
    ["2*10000", "2[" * 99 + "2*2" + "]" * 99, "2[" + ", ".join(["1*100"] * 100) + "]",
     "2[" + "2[z, z], " * 60 + "z]"],
)  # fmt: skip
def test_the_largest_priors_are_taken(prior):
    check_trainable(RunConfig.parse({"prior": prior}))
