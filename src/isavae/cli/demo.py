"""`isavae demo`: train, evaluate and draw an ISA-VAE on dSprites in a few minutes."""

import time
from pathlib import Path

from isavae.cli.evaluation import show
from isavae.cli.step_progress import StageProgress
from isavae.cli.training import train_with_progress
from isavae.data import load
from isavae.figures import save
from isavae.report import RunFigures
from isavae.runs import demo_run, evaluate_run


def demo(out: Path = Path("demo"), seed: int = 0) -> int:
    """Train an ISA-VAE on large shapes of dSprites, evaluate it, draw figures; or resume.

    Args:
        out: The run directory to write.
        seed: Seed of weights, batches and noise.
    """
    run = demo_run(out, seed)
    data = load(run.config.data)
    started = time.monotonic()
    if code := train_with_progress(run, data):
        return code
    seconds = time.monotonic() - started
    with StageProgress() as progress:
        scores, _ = evaluate_run(run, on_progress=progress)
    print()
    show(scores)
    rate = run.metadata()["steps"] * run.config.batch_size / seconds
    print(f"\ntrained in {seconds:.0f} s, {rate:,.0f} images/s")
    for name, figure in RunFigures.open(out).all():
        print(save(figure, out / f"{name}.png"))
    print(f"explore it: isavae explore {out}")
    return 0
