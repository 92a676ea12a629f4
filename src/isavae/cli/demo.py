"""`isavae demo`: train, evaluate and draw an ISA-VAE on dSprites in a few minutes."""

import time
from pathlib import Path

from isavae.cli.evaluation import encode_with_progress, score_with_progress, show
from isavae.cli.training import train_with_progress
from isavae.data import load
from isavae.figures import save
from isavae.report import RunFigures
from isavae.runs import Run, RunConfig

# A part of dSprites on which latents align with position within minutes on two cores. The exponents
# are strongly platykurtic: the prior is nearly a cube, as the positions fill a square. Results over
# several seeds are in docs/demo.md.
SETTINGS = {
    "data": "dsprites[scale=5, orientation=0]",
    "prior": "6[6*3, 6*3]",
    "prior_scale": "standardised",
    "objective": {"name": "beta-vae", "beta": 4.0},
    "width": 512,
    "steps": 2500,
    "batch_size": 128,
    "precision": "float32",  # as measured in docs/demo.md; bfloat16 finds other axes
}


def demo(out: Path = Path("demo"), seed: int = 0) -> int:
    """Train an ISA-VAE on large shapes of dSprites, evaluate it, draw figures; or resume.

    Args:
        out: The run directory to write.
        seed: Seed of weights, batches and noise.
    """
    load("dsprites")  # all 737,280 images, drawn the first time
    config = RunConfig.parse(SETTINGS | {"seed": seed})
    run = Run.open(out) if (out / "config.json").exists() else Run.create(config, out)
    data = load(run.config.data)
    started = time.monotonic()
    code = train_with_progress(run, data)
    if code:
        return code
    seconds = time.monotonic() - started
    model, codes = encode_with_progress(run, data)
    scores = score_with_progress(run, model, data, codes)
    print()
    show(scores)
    rate = run.metadata()["steps"] * run.config.batch_size / seconds
    print(f"\ntrained in {seconds:.0f} s, {rate:,.0f} images/s")
    figures = RunFigures.of(model, data, codes)
    for name in ("latents", "traversals", "reconstructions"):
        print(save(getattr(figures, name)(), out / f"{name}.png"))
    print(f"explore it: isavae explore {out}")
    return 0
