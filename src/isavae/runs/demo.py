"""The run of `isavae demo`: an ISA-VAE that finds positions within minutes."""

from pathlib import Path

from isavae.runs.config import RunConfig
from isavae.runs.directory import Run

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


def demo_run(path: Path, seed: int = 0) -> Run:
    """The run in a directory, or a new one on large shapes of dSprites with that seed."""
    if (path / "config.json").exists():
        return Run.open(path)
    return Run.create(path, RunConfig.parse(SETTINGS | {"seed": seed}))
