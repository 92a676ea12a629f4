"""Lp-nested distributions under `torch.func`, `torch.compile` and Pyro."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.func import grad, jacrev, vmap

from isavae.distributions import LpNested, LpTree, norms

TREES = ["2.1[2.2*4, 2.2*4]", "2[z, 1.2*2, z, 1.2*3, 4[1.5*2, z]]"]


@pytest.fixture(params=TREES)
def tree(request):
    torch.manual_seed(0)
    return LpTree.parse(request.param)


def log_prob(tree, z, exponents):
    return LpNested(tree, exponents=exponents, validate_args=False).log_prob(z)


def sums_and_gradients(tree, z, exponents, function=log_prob):
    z, exponents = z.clone().requires_grad_(), exponents.clone().requires_grad_()
    value = function(tree, z, exponents)
    return value, *torch.autograd.grad(value.sum(), (z, exponents))


def test_vmap_over_points_and_exponents(tree):
    z, exponents = torch.randn(5, tree.n), torch.rand(5, len(tree.exponents)) + 1
    value, z_grad, p_grad = sums_and_gradients(tree, z, exponents)

    def one(z, exponents):
        return log_prob(tree, z, exponents)

    assert torch.allclose(vmap(one)(z, exponents), value, atol=1e-5)
    crossed = torch.stack([one(z[0], p) for p in exponents])
    assert torch.allclose(vmap(one, (None, 0))(z[0], exponents), crossed, atol=1e-5)
    per_row = vmap(grad(one, argnums=(0, 1)))(z, exponents)
    assert torch.allclose(per_row[0], z_grad, atol=1e-4)
    assert torch.allclose(per_row[1], p_grad, atol=1e-4)
    hessians = vmap(jacrev(grad(one)))(z, exponents)
    direct = torch.stack(
        [
            torch.autograd.functional.hessian(lambda x, p=p: one(x, p), row)
            for row, p in zip(z, exponents, strict=True)
        ]
    )
    assert torch.allclose(hessians, direct, atol=1e-4)


def test_gradient_through_vmap_and_through_a_vmapped_backward(tree):
    """Where a transform hides from the forward pass that a gradient is wanted."""
    z, exponents = torch.randn(5, tree.n), torch.rand(5, len(tree.exponents)) + 1
    _, z_grad, p_grad = sums_and_gradients(tree, z, exponents)

    def total(z, exponents):
        return vmap(lambda z, p: log_prob(tree, z, p))(z, exponents).sum()

    ours = grad(total, argnums=(0, 1))(z, exponents)
    assert torch.allclose(ours[0], z_grad, atol=1e-4)
    assert torch.allclose(ours[1], p_grad, atol=1e-4)
    z, exponents = z.requires_grad_(), exponents.requires_grad_()
    plain = torch.autograd.grad(total(z, exponents), (z, exponents))
    assert torch.allclose(plain[0], z_grad, atol=1e-4)
    assert torch.allclose(plain[1], p_grad, atol=1e-4)


def test_blocks_change_nothing(tree, monkeypatch):
    """A large batch is worked off in blocks; the gradient's gradient too."""
    z, exponents = torch.randn(40, tree.n).double(), torch.tensor(tree.exponents).double()
    whole = sums_and_gradients(tree, z, exponents)

    def curvature(z):
        slope = torch.autograd.grad(log_prob(tree, z, exponents).sum(), z, create_graph=True)[0]
        return torch.autograd.grad((slope**2).sum(), z)[0]

    z = z.requires_grad_()
    whole_curvature = curvature(z)
    monkeypatch.setattr(norms, "_BLOCK", 7 * tree.n)
    for ours, theirs in zip(sums_and_gradients(tree, z, exponents), whole, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12)
    assert torch.allclose(curvature(z), whole_curvature, rtol=1e-12)
    folded = log_prob(tree, z.reshape(8, 5, tree.n), exponents)
    assert torch.allclose(folded.flatten(), whole[0], rtol=1e-12)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's, for Gamma's slope
def test_vmapped_gradient_of_samples_is_that_of_the_expectation(tree):
    """d/dp E |z|² by reparametrisation, per row of exponents, against the closed-form variance."""
    tree = LpTree.parse(str(tree))
    exponents = torch.tensor(tree.exponents) + torch.tensor([[0.0], [0.5]])

    def spread(p):
        return LpNested(tree, exponents=p, validate_args=False).variance.sum()

    def sampled(p):
        draws = LpNested(tree, exponents=p, validate_args=False).rsample((500,))
        return (draws**2).sum(-1).mean()

    exact = torch.stack([grad(spread)(p) for p in exponents])
    draws = [vmap(grad(sampled), randomness="different")(exponents) for _ in range(40)]
    ours = torch.stack(draws)
    error = ours.std(0) / 40**0.5 + 1e-6
    assert ((ours.mean(0) - exact).abs() < 5 * error).all()


def test_vmap_of_samples(tree):
    exponents = torch.rand(3, len(tree.exponents)) + 1

    def draw(exponents):
        return LpNested(tree, exponents=exponents, validate_args=False).rsample((2,))

    z = vmap(draw, randomness="different")(exponents)
    assert z.shape == (3, 2, tree.n)
    assert z.unique().numel() == z.numel()


COMPILED = """
import torch
from isavae.distributions import LpNested, LpTree
from tests.distributions.test_lp_nested_transforms import TREES, log_prob, sums_and_gradients

for text in TREES:
    tree = LpTree.parse(text)
    distribution = LpNested(tree, validate_args=False)
    z, exponents = torch.randn(5, tree.n), torch.tensor(tree.exponents)
    compiled = torch.compile(distribution.log_prob, backend=BACKEND, fullgraph=True)
    assert torch.allclose(compiled(z), distribution.log_prob(z), atol=1e-5)
    draw = torch.compile(lambda: distribution.rsample((4,)), backend=BACKEND, fullgraph=True)
    assert draw().shape == (4, tree.n)
    learned = torch.compile(log_prob, backend=BACKEND, fullgraph=True)
    ours = sums_and_gradients(tree, z, exponents, learned)
    plain = sums_and_gradients(tree, z, exponents)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, plain))
"""


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("aot_eager", marks=pytest.mark.slow),
        pytest.param("inductor", marks=pytest.mark.slow),
    ],
)
def test_compile(backend):
    """In a process of its own: the type checks of this suite cannot be traced."""
    script = COMPILED.replace("BACKEND", repr(backend))
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)


def test_pyro_learns_exponents_by_svi():
    """Model and guide of a small VAE whose prior's exponents are parameters of the model."""
    import pyro
    from pyro.infer import SVI, Trace_ELBO

    from isavae.distributions.pyro import LpNested as PyroLpNested

    torch.manual_seed(0)
    pyro.clear_param_store()
    encoder, decoder = torch.nn.Linear(6, 8), torch.nn.Linear(4, 6)
    x = (torch.randn(128, 2) @ torch.randn(2, 6) > 0).float()

    def model(x):
        pyro.module("decoder", decoder)
        positive = pyro.distributions.constraints.independent(
            pyro.distributions.constraints.positive, 1
        )
        exponents = pyro.param("exponents", torch.full((3,), 2.2), constraint=positive)
        with pyro.plate("images", len(x)):
            z = pyro.sample("z", PyroLpNested("2[2*2, 2*2]", exponents=exponents))
            pyro.sample("x", pyro.distributions.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x):
        pyro.module("encoder", encoder)
        mean, log_std = encoder(x).chunk(2, -1)
        with pyro.plate("images", len(x)):
            pyro.sample("z", pyro.distributions.Normal(mean, log_std.exp()).to_event(1))

    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO())
    losses = [svi.step(x) for _ in range(120)]
    assert sum(losses[-20:]) < 0.95 * sum(losses[:20])
    assert (pyro.param("exponents") != 2.2).all()


def test_pyro_guide_may_be_lp_nested():
    """SVI pulls an Lp-nested guide's scale to that of its Lp-nested target."""
    import pyro
    from pyro.infer import SVI, Trace_ELBO

    from isavae.distributions.pyro import LpNested as PyroLpNested

    torch.manual_seed(0)
    pyro.clear_param_store()

    def model():
        with pyro.plate("points", 256):
            pyro.sample("z", PyroLpNested("2[1*2, 3*2]", 2.0))

    def guide():
        scale = pyro.param(
            "scale", torch.ones(()), constraint=torch.distributions.constraints.positive
        )
        with pyro.plate("points", 256):
            pyro.sample("z", PyroLpNested("2[1*2, 3*2]", scale))

    svi = SVI(model, guide, pyro.optim.Adam({"lr": 2e-2}), Trace_ELBO())
    for _ in range(100):
        svi.step()
    assert float(pyro.param("scale").detach()) == pytest.approx(2.0, abs=0.1)
