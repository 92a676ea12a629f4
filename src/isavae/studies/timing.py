"""The cost of a run on this machine, measured on a few of its steps in forked processes."""

import io
import time
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from statistics import mean
from typing import final

import torch
from torch.utils.flop_counter import FlopCounterMode

from isavae.data import ImageDataset
from isavae.evaluation import BATCH, encode_all, likelihood_terms
from isavae.metrics import Codes, mig
from isavae.models import VAE
from isavae.runs import RunConfig, fresh_state
from isavae.studies.forking import fork_server, start
from isavae.studies.shared_data import open_shared
from isavae.training import train

# Steps before the timing starts: the first one creates the optimiser's state.
WARM_UP = 2
# Steps that are timed, however long they take.
FEWEST = 3


@final
@dataclass(frozen=True)
class Cost:
    """The cost of one run, as measured by `measure`.

    Attributes:
        start_seconds: Time to the first step: process, data set, model.
        step_seconds: Time per optimiser step.
        scoring_seconds: Time for the scores at the end.
        step_flop: Floating-point operations of a step's matrix products and convolutions.
        weights_bytes: Size of the weights, which stay on disk.
        state_bytes: Size of the checkpoint, which is deleted when the run is done.
    """

    start_seconds: float
    step_seconds: float
    scoring_seconds: float
    step_flop: float
    weights_bytes: float
    state_bytes: float


def measure(
    config: RunConfig,
    *,
    workers: int = 1,
    threads: int = 1,
    images: int | None = 10_000,
    seconds: float = 1.0,
) -> Cost:
    """Time some steps and the scores of a run, in as many processes at once as the study will use.

    The scores are timed on 4,096 images and scaled to the full number; the MIG is timed on
    made-up codes of all images. Operations are counted.

    Args:
        config: The run.
        workers: Number of processes that take the same steps at the same time.
        threads: Threads per process.
        images: Images for the likelihood terms; None takes all.
        seconds: Time spent on steps; at least three steps are taken.

    Returns:
        The mean over the processes.

    Raises:
        ValueError: If the run cannot take a step, or this system cannot fork.
    """
    context = fork_server()
    # The server imports torch before it forks its first process; no timed process waits for that.
    start(context, time.monotonic).join()
    pipes, processes = [], []
    for _ in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        now = time.monotonic()
        process = start(context, _send_cost, theirs, config, threads, images, seconds, now)
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        costs = [_receive_cost(pipe) for pipe in pipes]
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return Cost(**{f.name: mean(getattr(cost, f.name) for cost in costs) for f in fields(Cost)})


def _receive_cost(pipe: Connection) -> Cost:
    try:
        answer = pipe.recv()
    except EOFError:
        answer = "its process was killed, possibly because memory ran out"
    if isinstance(answer, Cost):
        return answer
    raise ValueError(f"a run must be able to take a step to be timed; {answer}")


def _send_cost(
    pipe: Connection,
    config: RunConfig,
    threads: int,
    images: int | None,
    seconds: float,
    started: float,
) -> None:
    """Send a `Cost`, or the error as text."""
    torch.set_num_threads(threads)
    try:
        pipe.send(_cost(config, images, seconds, started))
    except Exception as error:  # raised again by the parent
        pipe.send(f"{type(error).__name__}: {error}")


def _cost(config: RunConfig, images: int | None, seconds: float, started: float) -> Cost:
    data = open_shared(config.data)
    state = fresh_state(config, data.shape)
    steps = train(
        state, data, config.objective,
        steps=1 << 60, batch_size=config.batch_size, seed=config.seed,
    )  # fmt: skip
    for _ in range(WARM_UP):
        next(steps).to_floats()
    ready, taken = time.monotonic(), 0
    while taken < FEWEST or time.monotonic() - ready < seconds:
        next(steps).to_floats()
        taken += 1
    step_seconds = (time.monotonic() - ready) / taken
    with FlopCounterMode(display=False) as counter:
        next(steps).to_floats()
    checkpoint = io.BytesIO()
    torch.save(state.state_dict(), checkpoint)
    weights = state.model.state_dict().values()
    return Cost(
        start_seconds=max(0.0, ready - started - WARM_UP * step_seconds),
        step_seconds=step_seconds,
        scoring_seconds=_scoring_seconds(state.model, data, images),
        step_flop=float(counter.get_total_flops()),
        weights_bytes=float(sum(tensor.nbytes for tensor in weights)),
        state_bytes=float(checkpoint.tell()),
    )


def _scoring_seconds(model: VAE, data: ImageDataset, images: int | None) -> float:
    part = data.sample(BATCH) if len(data) > BATCH else data
    scored = len(data) if images is None else min(images, len(data))
    begun = time.monotonic()
    encode_all(model, part)
    encoded = time.monotonic()
    likelihood_terms(model, part)
    ended = time.monotonic()
    seconds = ((encoded - begun) * len(data) + (ended - encoded) * scored) / len(part)
    if data.grid is not None:
        means = torch.randn(len(data), model.prior.n_latents)
        begun = time.monotonic()
        mig(Codes(means, torch.full_like(means, -1.0), data.grid))
        seconds += time.monotonic() - begun
    return seconds
