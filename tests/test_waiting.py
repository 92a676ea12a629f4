"""No training step waits for its device.

Steps run on torch's `meta` device, whose tensors have no values: whatever reads one, such as
`.item()`, `.tolist()`, `.cpu()`, `bool()` and `nonzero`, raises an error. A copy between host and
device waits, too, unless it is told not to.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from isavae import training
from isavae.data import ImageDataset
from isavae.data.drawn.variants import colour, noise
from isavae.models import VAE, AnyObjective, BernoulliLikelihood, Likelihood, Prior, build_networks
from isavae.training import StepReport, TrainState, train
from tests.instances import LIKELIHOODS, OBJECTIVES, PRIORS

pytestmark = pytest.mark.system

META, SHAPE, BATCH = torch.device("meta"), (1, 8, 8), 16


class NoConstants(TorchFunctionMode):
    """Refuses tensors that are made of Python's numbers, which are copied from the host."""

    makers = (torch.tensor, torch.as_tensor, Tensor.new_tensor)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        assert func not in self.makers or result.device != META, f"{func} waits for the device"
        listed = func == Tensor.__getitem__ and isinstance(args[1], list)
        assert not listed or result.device != META, "an index that is a list waits for the device"
        return result


class NoCopies(TorchDispatchMode):
    """Refuses copies between the host and a device that would wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        match func.overloadpacket.__name__:
            case "_to_copy":
                copied = result.device != args[0].device and not kwargs.get("non_blocking")
            case "copy_":
                copied = args[0].device != args[1].device and not any(args[2:])
            case _:
                copied = False
        assert not copied, f"{func} waits for the device"
        return result


@contextmanager
def no_waiting() -> Iterator[None]:
    """Refuse everything that would wait if `meta` were a GPU."""
    with NoConstants(), NoCopies():
        yield


@contextmanager
def training_on_meta(
    objective: AnyObjective,
    prior: Prior,
    likelihood: Likelihood,
    monkeypatch: pytest.MonkeyPatch,
    batch: int = BATCH,
) -> Iterator[Iterator[StepReport]]:
    """Steps of a training after the first one, which may wait; an epoch has two."""
    # `meta` has no generators.
    monkeypatch.setattr(training, "noise_generator", lambda *_: torch.Generator())
    networks = build_networks("mlp", SHAPE, prior.n_latents, likelihood.parameters_per_pixel, 8)
    model = VAE(*networks, prior, likelihood).to(META)
    state = TrainState(model, companion=objective.companion(prior.n_latents))
    images = ImageDataset.from_stored("black", np.zeros((2 * batch, 8), np.uint8), SHAPE)
    steps = train(state, images, objective, steps=10, batch_size=batch, seed=0)
    next(steps)
    with no_waiting():
        yield steps


def assert_no_step_waits(*what, **how) -> None:
    with training_on_meta(*what, **how) as steps:
        for _ in range(2):  # the second one begins an epoch
            assert all(value.device == META for value in next(steps).values.values())


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("objective", ["beta-vae", "dip-vae-i"])  # density and variance
def test_no_step_waits_whatever_the_prior(objective, prior, monkeypatch):
    assert_no_step_waits(OBJECTIVES[objective], PRIORS[prior](), BernoulliLikelihood(), monkeypatch)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("batch", [BATCH, 300])  # sums of a small batch, and over pairs in blocks
def test_no_step_waits_whatever_the_objective(objective, batch, monkeypatch):
    prior = PRIORS["learned exponents, standardised"]()
    assert_no_step_waits(
        OBJECTIVES[objective], prior, BernoulliLikelihood(), monkeypatch, batch=batch
    )


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_no_step_waits_whatever_the_likelihood(likelihood, monkeypatch):
    beta_vae, prior = OBJECTIVES["beta-vae"], PRIORS["normal"]()
    assert_no_step_waits(beta_vae, prior, LIKELIHOODS[likelihood](), monkeypatch)


@pytest.mark.parametrize("colourise", [colour, noise])
def test_no_batch_of_coloured_images_waits(colourise):
    images = ImageDataset.from_stored(
        "black", np.zeros((32, 8), np.uint8), (3, 8, 8), colourise=colourise
    )
    images.minibatch(0, 0, BATCH, META)
    with no_waiting():
        assert images.minibatch(0, 1, BATCH, META).shape == (BATCH, 3, 8, 8)


def test_no_batch_of_images_beyond_the_memory_waits():
    images = ImageDataset.from_stored("black", np.zeros((32, 8), np.uint8), SHAPE)
    images = images.with_changes(shuffle_block=4)
    images.minibatch(0, 0, BATCH, META)
    with no_waiting():
        images.minibatch(0, 1, BATCH, META)


WAITING: dict[str, Callable[[Tensor], object]] = {
    "item": Tensor.item,
    "tolist": Tensor.tolist,
    "cpu": Tensor.cpu,
    "bool": bool,
    "nonzero": Tensor.nonzero,
    "mask": lambda x: x[x > 0],
    "tensor": lambda x: torch.tensor([1.0], device=x.device),
    "new_tensor": lambda x: x.new_tensor(1.0),
    "list": lambda x: x[[0]],
    "to": lambda x: torch.ones(1).to(x.device),
    "to another": lambda x: torch.ones(1).to(x),
    "copy_": lambda x: x.copy_(torch.ones(1)),
}


@pytest.mark.parametrize("waiting", WAITING)
def test_what_waits_is_refused(waiting):
    with no_waiting(), pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
        WAITING[waiting](torch.ones(1, device=META))


def test_what_does_not_wait_is_allowed():
    x = torch.ones(4, device=META)
    with no_waiting():
        x.double().to(x).clamp_(min=0.0).index_select(0, torch.arange(2, device=META))
        torch.ones(4).to(META, non_blocking=True)
