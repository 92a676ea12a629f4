"""`isavae demo`: train, evaluate and draw an ISA-VAE on dSprites in a few minutes."""

import time
from pathlib import Path

from isavae.cli.continuing import telling_how_to_continue
from isavae.cli.evaluation import show
from isavae.cli.step_progress import StageProgress, StepProgress
from isavae.cli.terminal import say
from isavae.data import load
from isavae.figures import save
from isavae.report import RunFigures
from isavae.runs import evaluate_run
from isavae.studies import LocalEngine, available_cores, run_study
from isavae.studies.demo import STARTS, demo_directory, demo_study, keep_best


def demo(out: Path = Path("demo"), seed: int = 0) -> None:
    """Train two ISA-VAEs on large shapes of dSprites, keep the better one, draw it; or resume.

    The better one has the lower loss, which takes no labels.

    Args:
        out: The run directory to write; its folder starts holds both runs.
        seed: Seed of weights, batches and noise.
    """
    study, directory = demo_study(seed), demo_directory(out)
    load(study.runs[0].config.data)
    started, engine = time.monotonic(), LocalEngine(min(STARTS, available_cores()))
    again = ["isavae", "demo", "--out", str(out), "--seed", str(seed)]
    with telling_how_to_continue(again), StepProgress("training", "%") as bar:
        progress = run_study(
            study, directory, engine,
            on_change=lambda progress: bar(round(100 * progress.share), 100),
        )  # fmt: skip
    seconds = time.monotonic() - started
    for failed, error in progress.failed.items():
        say(f"{failed} failed: {error}")
    run = keep_best(directory, out)
    with StageProgress() as stages:
        scores, _ = evaluate_run(run, on_progress=stages)
    say("")
    show(scores)
    say(f"\ntrained {STARTS} models in {seconds:.0f} s; seed {run.config.seed} has the lower loss")
    for name, figure in RunFigures.open(out).all():
        say(save(figure, out / f"{name}.png"))
    say(f"explore it: isavae explore {out}")
