"""From a configuration to a model and its training state, seeded."""

import json
import sys
from math import prod

import torch
from torch.distributions import Independent, Normal

from isavae.data.memory import free_memory
from isavae.models import (
    NETWORKS,
    VAE,
    Prior,
    VAEOutput,
    build_likelihood,
    build_networks,
    build_prior,
    estimate_kl,
)
from isavae.runs.config import MOST_SETTINGS, RunConfig
from isavae.training import TrainState, resolve_device, resolve_precision

# Of an image: with the largest width, torch can still count the bytes of the weights.
MOST_VALUES = 1 << 40
# Bytes in `config.json` for its checksum, its format, and a longer seed or device.
BESIDE_SETTINGS = 200


def prior_of(config: RunConfig) -> Prior:
    """The prior of a configuration."""
    return build_prior(
        config.prior,
        config.n_latents,
        config.prior_scale,
        learn_exponents=config.learn_exponents,
        learn_p0=config.learn_p0,
        learn_scale=config.learn_scale,
        lowest_exponent=config.lowest_exponent,
    )


def build_model(
    config: RunConfig, shape: tuple[int, int, int], most_bytes: int | None = None
) -> VAE:
    """The VAE of a configuration, freshly initialised from its seed; torch's global state is kept.

    Args:
        config: The run's configuration.
        shape: (channels, height, width) of an image.
        most_bytes: The most that the weights may take; by default the free memory.

    Raises:
        ValueError: If they would take more, or the configuration is wrong.
    """
    prior = prior_of(config)
    likelihood = build_likelihood(config.likelihood)
    most = free_memory() if most_bytes is None else most_bytes
    size = _bytes_of_networks(config, shape)
    if size > most:
        raise ValueError(
            f"the weights of a model must fit into {most:,} bytes; those of {config.network} with "
            f"width {config.width} for images of {shape} take {size:,}: lower the width or the size"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        networks = build_networks(
            config.network, shape, prior.n_latents, likelihood.parameters_per_pixel, config.width
        )
    return VAE(*networks, prior, likelihood)


def _bytes_of_networks(config: RunConfig, shape: tuple[int, int, int]) -> int:
    """The size of the weights of encoder and decoder, without taking memory for them."""
    n_latents = prior_of(config).n_latents
    per_pixel = build_likelihood(config.likelihood).parameters_per_pixel
    if prod(shape) > MOST_VALUES:
        return sys.maxsize
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        networks = build_networks(config.network, shape, n_latents, per_pixel, config.width)
    return sum(weights.nbytes for network in networks for weights in network.parameters())


def fresh_state(config: RunConfig, shape: tuple[int, int, int]) -> TrainState:
    """Model, optimiser and companion of a run before its first step, on its device.

    Args:
        config: The run's configuration.
        shape: (channels, height, width) of an image.
    """
    device = resolve_device(config.device)
    check_memory(config, shape)
    model = build_model(config, shape).to(device)
    model.network_dtype = resolve_precision(config.precision, device, config.batch_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        companion = config.objective.companion(model.prior.n_latents)
    return TrainState(model, config.learning_rate, config.prior_learning_rate, companion)


# What training keeps of every weight: itself, its gradient and two moments of Adam. Bytes per value
# of a batch: the values and gradients of the first and last layers.
COPIES, PER_VALUE = 4, 24


def check_memory(config: RunConfig, shape: tuple[int, int, int]) -> None:
    """Check that training fits into the free memory, before anything is allocated.

    Args:
        config: The run's configuration.
        shape: (channels, height, width) of an image.

    Raises:
        ValueError: If it does not; names the largest size that fits.
    """
    device = resolve_device(config.device)
    free = free_memory(device)
    needed = _training_bytes(config, shape)
    if needed <= free:
        return
    channels, height, width = shape
    fitting = (
        (height // k, width // k)
        for k in range(2, min(height, width) + 1)
        if _training_bytes(config, (channels, height // k, width // k)) <= free
    )
    size = next(fitting, None)
    todo = (
        "a smaller width or batch size,"
        if size is None
        else "size={}x{}, fit=stretch".format(*size)
    )
    raise ValueError(
        f"training must fit into the {free / 1e9:.1f} GB of memory that are free; images of "
        f"{height} x {width} take {needed / 1e9:.1f} GB with the network {config.network}: give "
        f"{todo} or another network"
    )


def _training_bytes(config: RunConfig, shape: tuple[int, int, int]) -> int:
    """An estimate of the memory that training takes, without taking it."""
    return COPIES * _bytes_of_networks(config, shape) + PER_VALUE * config.batch_size * prod(shape)


def check_trainable(config: RunConfig) -> None:
    """Validate a configuration before its data set is opened and its directory is created.

    Raises:
        ValueError: If the device is missing, a name is unknown, or parts do not fit each other or
            into the file of settings.
    """
    _check_length(config)
    resolve_device(config.device)
    _check_kl(config, prior_of(config))
    build_likelihood(config.likelihood)
    if config.network not in NETWORKS:
        raise ValueError(f"a network must be one of {', '.join(NETWORKS)}; got {config.network!r}")
    if config.network == "conv" and config.batch_size == 1:
        raise ValueError(
            "a batch of the network conv must have two images or more, over which it normalises; "
            "got batch size 1: raise it, or take the network mlp"
        )


def _check_length(config: RunConfig) -> None:
    """Check that `config.json`, with its checksum, will be short enough to be read again."""
    length = len(json.dumps(config.settings(), indent=2)) + BESIDE_SETTINGS
    if length > MOST_SETTINGS:
        raise ValueError(
            f"the settings of a run must take at most {MOST_SETTINGS:,} bytes in its config.json; "
            f"these take {length:,}: shorten the schedule or the text of the prior"
        )


def _check_kl(config: RunConfig, prior: Prior) -> None:
    """Try the objective's KL estimator: not every prior has a closed form."""
    z = torch.zeros(1, prior.n_latents)
    posterior = Independent(Normal(z, torch.ones_like(z)), 1)
    single = VAEOutput(torch.zeros(1, 1, 1, 1), z, posterior, prior(), likelihood=posterior)
    estimate_kl(single, getattr(config.objective, "kl_estimator", "sampled"))
