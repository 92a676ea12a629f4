"""The run of `isavae demo`: an ISA-VAE that finds positions within minutes."""

from pathlib import Path

from isavae.runs.config import RunConfig
from isavae.runs.directory import Run

# A part of dSprites on which latents line up with position within minutes on two cores, for every
# seed and CPU that was tried (docs/demo.md). Exponents of 10: the prior is nearly a cube, as the
# positions fill a square. The blur and the falling learning rate are what keeps the map from
# positions to latents free of folds.
SETTINGS = {
    "data": "dsprites32[scale=5, orientation=0]",
    "prior": "10[10*3, 10*3]",
    "prior_scale": "standardised",
    "objective": {"name": "beta-vae", "beta": 3.0, "kl_estimator": "entropy"},
    "network": "mlp-silu",
    "width": 256,
    "steps": 4000,
    "batch_size": 128,
    "blur": 4.0,
    "learning_rate_end": 0.05,
}


def demo_run(path: Path, seed: int = 0) -> Run:
    """The run in a directory, or a new one on large shapes of dSprites with that seed."""
    if (path / "config.json").exists():
        return Run.open(path)
    return Run.create(path, RunConfig.parse(SETTINGS | {"seed": seed}))
