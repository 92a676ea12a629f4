"""`isavae gpu-check`."""

import time
from pathlib import Path

from isavae.cli.step_progress import StageProgress
from isavae.cli.study_progress import LiveProgress
from isavae.cli.terminal import say
from isavae.cli.training import interruptible
from isavae.gpu_check import GpuCheck


def gpu_check(out: Path, minutes: float = 8.0, device: str = "auto") -> int:
    """Test a GPU, time training on it, and train runs of the paper's Table 1 in the time left.

    It needs no network: the images are drawn. It may be stopped at any time; the same command goes
    on, with new minutes. On a CPU all settings are tiny.

    Args:
        out: The folder to write: gpu-check.json, gpu-check.md, and the runs.
        minutes: How long it may take; the tests and timings end before runs start.
        device: The device: auto, cpu, cuda, cuda:N or mps.
    """
    begun = time.monotonic()
    check = GpuCheck(out, device)
    machine = check.parts["machine"]
    say(f"{machine['name']} ({machine['device']}), torch {machine['torch']}; writing {out}")
    with StageProgress("parts") as progress:
        check.measure(60 * minutes / 3, progress)
    left = max(0.0, 60 * minutes - (time.monotonic() - begun))
    until = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
    say(f"runs until {until}, for {left:.0f} s, {check.fastest()} at once")
    with interruptible() as stopped, LiveProgress() as live:
        check.run(left, live, stopped)
        was_stopped = stopped()
    say(check.path.with_suffix(".md").read_text(encoding="utf-8"))
    return 130 if was_stopped else 0
