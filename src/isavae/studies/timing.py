"""What a run costs on this machine, by taking a few of its steps as the local engine would."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from statistics import mean
from threading import BrokenBarrierError
from typing import Any, final

import torch
from torch.utils.flop_counter import FlopCounterMode

from isavae.data import ImageDataset
from isavae.evaluation import BATCH, encode_all, likelihood_terms
from isavae.metrics import Codes, mig
from isavae.models import VAE
from isavae.runs import RunConfig, fresh_state
from isavae.studies.forking import fork_server, start
from isavae.studies.shared_data import open_shared
from isavae.training import StepReport, train

WARM_UP = 2  # steps: the first makes the optimiser's state
FEWEST = 3  # steps that are timed, however long they take
RETRY_SECONDS = 600.0  # seconds until everybody who takes steps at the same time is ready
WAITED = "another process that takes steps at the same time was not ready"


@final
@dataclass(frozen=True)
class Cost:
    """What one run costs; `measure` says how it is found.

    Attributes:
        start_seconds: until the first step: process, data set, model.
        step_seconds: of an optimiser step.
        scoring_seconds: of the scores at the end.
        step_flop: floating-point operations of a step's matrix products and convolutions.
        scoring_flop: those of the scores.
        weights_bytes: of the weights, which stay.
        state_bytes: of the checkpoint, which goes when the run is done.
    """

    start_seconds: float
    step_seconds: float
    scoring_seconds: float
    step_flop: float
    scoring_flop: float
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
    """Time some steps and the scores of a run, in as many processes at once as will work.

    The scores are timed on 4,096 images and scaled to as many as there are; the entropies behind
    the MIG on made-up codes of all images. Operations are counted, not timed.

    Args:
        config: the run.
        workers: processes that do the same at the same time.
        threads: threads of each.
        images: images for the likelihood terms; None takes all.
        seconds: for which steps are taken, three at least.

    Raises:
        ValueError: if the run cannot take a step, or this system cannot fork.
    """
    context = fork_server()
    # Fork once for nothing: the server imports torch first, which no later process waits for.
    start(context, time.monotonic).join()
    barrier = context.Barrier(workers)
    pipes: list[Connection] = []
    processes = []
    for _ in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        now = time.monotonic()
        process = start(context, _work, config, threads, images, seconds, now, barrier, theirs)
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        return _mean(_answers(pipes))
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _answers(pipes: list[Connection]) -> list[Cost]:
    """What all processes found; of failures the first, for then the others wait in vain."""
    costs: list[Cost] = []
    left: list[Any] = list(pipes)
    while left:
        ready = wait(left)
        left = [pipe for pipe in left if pipe not in ready]
        answers = [_answer(pipe) for pipe in ready]
        costs += [answer for answer in answers if isinstance(answer, Cost)]
        # Who failed has said so before the others could say that they waited for it.
        failures = [answer for answer in answers if isinstance(answer, str)]
        if failures:
            reason = next((failure for failure in failures if failure != WAITED), WAITED)
            raise ValueError(f"a run must be able to take a step to be timed; {reason}")
    return costs


def _answer(pipe: Any) -> Cost | str:
    try:
        return pipe.recv()
    except EOFError:
        return "its process was killed, perhaps for want of memory"


def _mean(costs: list[Cost]) -> Cost:
    return Cost(**{f.name: mean(getattr(cost, f.name) for cost in costs) for f in fields(Cost)})


def _work(
    config: RunConfig,
    threads: int,
    images: int | None,
    seconds: float,
    started: float,
    barrier: Barrier,
    pipe: Connection,
) -> None:
    """The life of a timing process: its answer is a `Cost`, or a sentence."""
    try:
        torch.set_num_threads(threads)
        pipe.send(_cost(config, images, seconds, started, barrier))
    except BrokenBarrierError:
        pipe.send(WAITED)
    except Exception as error:  # the parent tells it
        pipe.send(f"{type(error).__name__}: {error}")
        barrier.abort()


def _cost(
    config: RunConfig, images: int | None, seconds: float, started: float, barrier: Barrier
) -> Cost:
    data = open_shared(config.data)
    state = fresh_state(config, data.shape)
    steps = train(
        state, data, config.objective,
        steps=1 << 60, batch_size=config.batch_size, seed=config.seed,
    )  # fmt: skip
    for _ in range(WARM_UP):
        next(steps).to_floats()
    ready = time.monotonic() - started
    barrier.wait(RETRY_SECONDS)
    step_seconds = _seconds_per_step(steps, seconds)
    with FlopCounterMode(display=False) as counter:
        next(steps).to_floats()
    step_flop = float(counter.get_total_flops())
    barrier.wait(RETRY_SECONDS)
    scoring_seconds, scoring_flop = _scoring(state.model, data, images)
    checkpoint = io.BytesIO()
    torch.save(state.state_dict(), checkpoint)
    weights = sum(t.numel() * t.element_size() for t in state.model.state_dict().values())
    return Cost(
        start_seconds=max(0.0, ready - WARM_UP * step_seconds),
        step_seconds=step_seconds,
        scoring_seconds=scoring_seconds,
        step_flop=step_flop,
        scoring_flop=scoring_flop,
        weights_bytes=float(weights),
        state_bytes=float(checkpoint.tell()),
    )


def _seconds_per_step(steps: Iterator[StepReport], seconds: float) -> float:
    begun, taken = time.perf_counter(), 0
    while taken < FEWEST or time.perf_counter() - begun < seconds:
        next(steps).to_floats()
        taken += 1
    return (time.perf_counter() - begun) / taken


def _scoring(model: VAE, data: ImageDataset, images: int | None) -> tuple[float, float]:
    """Seconds and operations of the scores of a finished run."""
    part = data.sample(BATCH) if len(data) > BATCH else data
    scored = len(data) if images is None else min(images, len(data))
    seconds = flop = 0.0
    for work, share in (
        (lambda: encode_all(model, part), len(data) / len(part)),
        (lambda: likelihood_terms(model, part), scored / len(part)),
    ):
        with FlopCounterMode(display=False) as counter:
            work()  # to warm up, and to count
        begun = time.perf_counter()
        work()
        seconds += share * (time.perf_counter() - begun)
        flop += share * counter.get_total_flops()
    if data.grid is not None:
        mean = torch.randn(len(data), model.prior.n_latents)
        begun = time.perf_counter()
        mig(Codes(mean, torch.full_like(mean, -1.0), data.grid))
        seconds += time.perf_counter() - begun
    return seconds, flop
