"""How fast several runs at once are on one device, each in a process of its own."""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from isavae.runs import RunConfig
from isavae.studies.estimate import warmed_up
from isavae.studies.forking import results_of

# Steps before the timing starts, and between two times that a value is read, as in a run.
WARM_UP, LOG_EVERY = 8, 10
# Seconds after which a process no longer waits for the others to be ready.
PATIENCE = 120.0


def steps_per_second(config: RunConfig, processes: int, threads: int, seconds: float) -> float:
    """Steps per second of all processes together, once all of them are ready.

    Args:
        config: The run that every process trains.
        processes: Their number.
        threads: Threads of each one.
        seconds: How long to measure.

    Raises:
        EOFError: If a process is killed, possibly because memory ran out.
        RuntimeError: If the device has too little memory for all.
    """
    with TemporaryDirectory() as folder:
        return sum(results_of(processes, _rate, config, processes, threads, seconds, Path(folder)))


def _rate(config: RunConfig, processes: int, threads: int, seconds: float, folder: Path) -> float:
    _, _, steps = warmed_up(config, threads, WARM_UP)
    (folder / str(os.getpid())).touch()
    _wait_for(processes, folder)
    begun, taken = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        for _ in range(LOG_EVERY - 1):
            next(steps)
        next(steps).to_floats()
        taken += LOG_EVERY
    return taken / (time.monotonic() - begun)


def _wait_for(processes: int, folder: Path) -> None:
    """Wait until so many processes are ready."""
    begun = time.monotonic()
    while len(os.listdir(folder)) < processes:
        if time.monotonic() - begun > PATIENCE:
            raise RuntimeError(f"{processes} processes must be ready together; some did not start")
        time.sleep(0.01)
