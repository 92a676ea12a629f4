"""Every distribution of `instances.py` as a function of its parameters, in the style of torch.

What holds at fixed parameters is in `test_distribution_laws.py`, derivatives in z are in
`test_distribution_transforms.py`.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch.distributions import Distribution
from torch.func import hessian, jacfwd, jacrev, vmap

from isavae.distributions import LpNested
from tests.distributions.test_distribution_laws import Z_LIMIT, those
from tests.instances import DISTRIBUTIONS

# Of torch, when it first differentiates forward.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


@pytest.fixture(params=DISTRIBUTIONS)
def make(request):
    torch.manual_seed(5)
    return DISTRIBUTIONS[request.param]


@pytest.fixture
def distribution(make) -> Distribution:
    return make(torch.float64)


def parameters(distribution: Distribution) -> dict[str, torch.Tensor]:
    """By name; those of a radial distribution stand for the scale that it replaces."""
    radial = getattr(distribution, "radial", None)
    names = [name for name in distribution.arg_constraints if radial is None or name != "scale"]
    found = {name: getattr(distribution, name) for name in names}
    of_radius = {} if radial is None else {n: getattr(radial, n) for n in radial.arg_constraints}
    return found | {f"radial_{name}": value for name, value in of_radius.items()}


def rebuilt(distribution: Distribution, values: dict[str, torch.Tensor]) -> Distribution:
    """The same distribution with other parameters."""
    if not isinstance(distribution, LpNested):
        return type(distribution)(**values)
    if distribution.radial is None:
        return LpNested(distribution.tree, **values)
    of_radius = {n.removeprefix("radial_"): v for n, v in values.items() if n != "exponents"}
    radial = type(distribution.radial)(**of_radius)
    return LpNested(distribution.tree, exponents=values["exponents"], radial=radial)


def of_parameters(distribution, function):
    """The sum of a function of the distribution as one of a vector, and that vector."""
    values = parameters(distribution)
    sizes = [value.numel() for value in values.values()]

    def total(vector):
        parts = zip(values.items(), vector.split(sizes), strict=True)
        return function(
            rebuilt(distribution, {n: part.view_as(value) for (n, value), part in parts})
        ).sum()

    return total, torch.cat([value.flatten() for value in values.values()])


def differences(function, vector, step=1e-3):
    """By central differences of fourth order."""
    slopes = torch.empty_like(vector)
    for i in range(len(vector)):
        offset = torch.zeros_like(vector)
        offset[i] = step * vector[i].abs().clamp_min(0.1)
        near, far = (function(vector + k * offset) - function(vector - k * offset) for k in (1, 2))
        slopes[i] = (8 * near - far) / (12 * offset[i])
    return slopes


def close(found, expected, tolerance=1e-6):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_parameters_satisfy_their_constraints_and_others_are_refused(distribution):
    values = parameters(distribution)
    for name, value in values.items():
        if name.startswith("radial_"):
            continue  # torch's
        constraint = distribution.arg_constraints[name]
        assert constraint.check(value).all()
        if constraint.check(-value).all():
            assert name == "loc"
            continue
        for wrong in (-value, 0 * value, torch.full_like(value, torch.nan)):
            with pytest.raises(ValueError, match=r"positive|constraint"):
                rebuilt(distribution, values | {name: wrong})


def test_parameters_rebuild_the_distribution_and_broadcast(distribution):
    z = distribution.sample((3,))
    same = rebuilt(distribution, parameters(distribution))
    assert torch.equal(same.log_prob(z), distribution.log_prob(z))
    axes = {name: value[None].expand(2, *value.shape) for name, value in parameters(same).items()}
    if not distribution.batch_shape:
        assert rebuilt(distribution, axes).batch_shape == (2,)


def test_expanded_distributions_are_equal_in_everything(distribution):
    shape = (4, 2, *distribution.batch_shape)
    for wide in (distribution.expand(shape), distribution.expand(shape[1:]).expand(shape)):
        assert wide.batch_shape == shape
        assert wide.event_shape == distribution.event_shape
        names = ["mean", "stddev", "variance"]
        names += ["mode"] if getattr(distribution, "radial", None) is None else []
        for name in names:
            found = getattr(wide, name)
            assert found.shape == shape + distribution.event_shape
            close(found[1, 1], getattr(distribution, name))
        close(wide.entropy(), distribution.entropy().expand(shape))
        close(wide.perplexity(), distribution.entropy().exp().expand(shape))
        z = distribution.sample((4, 2))
        close(wide.log_prob(z), distribution.log_prob(z))
        with pytest.raises(ValueError, match="support"):
            wide.log_prob(torch.full_like(z, torch.nan))
    with pytest.raises(RuntimeError):
        distribution.expand((2, *distribution.batch_shape)).expand((3, *distribution.batch_shape))


@those(lambda distribution: getattr(distribution, "radial", None) is None)
def test_no_density_is_above_that_at_the_mode(distribution):
    z = distribution.sample((100,))
    assert (distribution.log_prob(distribution.mode) >= distribution.log_prob(z)).all()


def test_derivatives_of_densities_in_parameters(distribution):
    z = distribution.sample((3,))
    total, vector = of_parameters(distribution, lambda d: d.log_prob(z))
    slopes = differences(total, vector)
    for transform in (jacrev, jacfwd):
        close(transform(total)(vector), slopes)
    expected = torch.stack(
        [
            differences(lambda x, i=i: jacrev(total)(x)[i], vector)  # pyrefly: ignore
            for i in range(len(vector))
        ]
    )
    for second in (hessian(total), jacrev(jacrev(total))):
        close(second(vector), expected, 1e-5)


@pytest.mark.parametrize("name", ["entropy", "variance"])
def test_derivatives_of_entropies_and_variances_in_parameters(distribution, name):
    total, vector = of_parameters(
        distribution, lambda d: d.entropy() if name == "entropy" else d.variance
    )
    vector.requires_grad_()
    (found,) = torch.autograd.grad(total(vector), vector)
    vector = vector.detach()
    slopes = differences(total, vector)
    close(found, slopes)
    close(jacfwd(total)(vector), slopes)


def test_derivatives_of_samples_are_those_of_the_variance(distribution):
    """d/dθ E (z - E z)² by reparametrisation against the closed form, in twenty batches."""
    exact, vector = of_parameters(distribution, lambda d: d.variance)
    vector.requires_grad_()
    (expected,) = torch.autograd.grad(exact(vector), vector)

    def spread(d):
        return ((d.rsample((2_000,)) - d.mean) ** 2).mean(0)

    sampled, _ = of_parameters(distribution, spread)
    found = torch.stack([torch.autograd.grad(sampled(vector), vector)[0] for _ in range(20)])
    error = found.std(0) / 20**0.5 + 1e-12
    limit = stats.t.isf(1e-6, 19)
    assert ((found.mean(0) - expected).abs() < limit * error).all()


@those(lambda distribution: getattr(distribution, "radial", None) is None)  # torch's fail
def test_vmap_of_samples_draws_each_anew(distribution):
    z = vmap(lambda _: distribution.rsample((2,)), randomness="different")(torch.zeros(3))
    assert z.shape == (3, 2, *distribution.batch_shape, *distribution.event_shape)
    assert z.unique().numel() == z.numel()


@those(lambda distribution: not distribution.event_shape)
def test_probabilities_and_quantiles(distribution):
    """Inverse to each other, monotone, with the density as their slope, and those of samples."""
    z = distribution.sample((200,)).requires_grad_()
    share = distribution.cdf(z)
    close(distribution.icdf(share), z)
    close(torch.autograd.grad(share.sum(), z)[0], distribution.log_prob(z).exp())
    assert ((share.detach().sort(0).indices) == z.detach().sort(0).indices).all()
    u = torch.linspace(0.01, 0.99, 25, dtype=z.dtype)
    u = u[(..., *[None] * len(distribution.batch_shape))].expand(25, *distribution.batch_shape)
    u = u.clone().requires_grad_()
    x = distribution.icdf(u)
    close(distribution.cdf(x), u)
    close(torch.autograd.grad(x.sum(), u)[0], (-distribution.log_prob(x.detach())).exp())
    ends = distribution.cdf(torch.tensor([-torch.inf, torch.inf]).view(2, *[1] * (u.dim() - 1)))
    assert torch.equal(ends[0], torch.zeros_like(ends[0]))
    assert torch.equal(ends[1], torch.ones_like(ends[1]))
    shares = distribution.cdf(distribution.sample((5_000,))).flatten(1 if u.dim() > 1 else 0)
    for column in shares.reshape(5_000, -1).T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-5


@those(lambda distribution: not distribution.event_shape)
def test_derivatives_of_probabilities_and_quantiles_in_parameters(distribution):
    z, u = distribution.sample((5,)), torch.rand(5, *distribution.batch_shape).double()
    for function in (lambda d: d.cdf(z), lambda d: d.icdf(u)):
        total, vector = of_parameters(distribution, function)
        slopes = differences(total, vector)
        for transform in (jacrev, jacfwd):
            close(transform(total)(vector), slopes)


def test_half_precision_is_computed_in_single(make, request):
    if "radi" in request.node.callspec.params["make"]:
        return  # torch's Gamma and LogNormal have no half precision on a CPU
    single = make(torch.float32)
    for dtype, tolerance in ((torch.float16, 0.01), (torch.bfloat16, 0.1)):
        half = make(dtype)
        z = half.rsample((1_000,))
        assert z.dtype == half.entropy().dtype == half.log_prob(z).dtype == torch.float32
        assert z.isfinite().all()
        assert (half.variance / single.variance - 1).abs().max() < tolerance / 2
        assert (half.entropy() - single.entropy()).abs().max() < tolerance
        error = (z**2).std(0) / 1_000**0.5
        assert (((z**2).mean(0) - half.variance).abs() < 1.5 * Z_LIMIT * error).all()


COMPILED = """
import torch
from torch.distributions import Distribution, Uniform
from isavae.distributions import LpNested
from tests.distributions.test_distribution_parameters import of_parameters
from tests.instances import DISTRIBUTIONS

Distribution.set_default_validate_args(False)


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True)


for name, make in DISTRIBUTIONS.items():
    torch.manual_seed(0)
    distribution = make(torch.float64)
    z = distribution.sample((4,))
    close = lambda found, expected: torch.testing.assert_close(found, expected, msg=name)
    close(compiled(distribution.log_prob)(z), distribution.log_prob(z))
    draws = compiled(lambda: distribution.rsample((3,)))()
    assert draws.shape == distribution.rsample((3,)).shape and draws.isfinite().all(), name
    for of in (lambda d: d.log_prob(z), lambda d: d.entropy()):
        total, vector = of_parameters(distribution, of)
        vector.requires_grad_()
        (expected,) = torch.autograd.grad(total(vector), vector)
        built = compiled(total)
        close(built(vector), total(vector))
        close(torch.autograd.grad(built(vector), vector)[0], expected)

edge = LpNested("2*2", radial=Uniform(torch.ones(()), 2 * torch.ones(())))
try:
    compiled(edge.entropy)()
except RuntimeError as problem:
    assert "must have a smooth density" in str(problem), problem
else:
    raise AssertionError("a compiled entropy must check its quadrature")
"""


@pytest.mark.slow
def test_compiled_without_a_break_also_where_they_are_built_inside():
    """In a process of its own: the type checks of this suite cannot be traced."""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", COMPILED], check=True, cwd=root)
