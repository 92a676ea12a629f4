"""The study of `isavae demo`: two ISA-VAEs, of which the one with the lower loss is kept."""

from pathlib import Path
from typing import Any

from isavae.files import atomic_write
from isavae.runs import Run
from isavae.studies.study import Study
from isavae.studies.study_directory import StudyDirectory

STARTS = 2
# A part of dSprites on which latents line up with position and shape within minutes on two cores
# (docs/demo.md). Exponents of 10: the prior is nearly a cube, as the positions fill a square. The
# blur and the falling learning rate keep the map from positions to latents free of folds.
SETTINGS: dict[str, Any] = {
    "data": "dsprites32[scale=5, orientation=0]",
    "prior": "10[10*3, 10*3]",
    "prior_scale": "standardised",
    "objective": {"name": "beta-vae", "beta": 3.0, "kl_estimator": "entropy"},
    "network": "mlp-silu",
    "width": 256,
    "steps": 5000,
    "batch_size": 128,
    "blur": 4.0,
    "learning_rate_end": 0.05,
}


def demo_study(seed: int = 0, steps: int = SETTINGS["steps"]) -> Study:
    """The runs of a demo; those of different seeds have no seed in common."""
    seeds = [STARTS * seed + start for start in range(STARTS)]
    settings = SETTINGS | {"steps": steps}
    return Study.parse({"name": "demo", "seeds": seeds, "runs": [settings]})


def demo_directory(out: Path) -> StudyDirectory:
    """The study directory below the folder of a demo.

    Raises:
        ValueError: If the folder holds a run that is not of a demo, which would be overwritten.
    """
    directory = StudyDirectory(out / "starts")
    if (out / "config.json").exists() and not directory.path.is_dir():
        raise ValueError(
            f"a demo must be written to a new folder or that of an earlier demo; {out} holds "
            "another run: choose another --out"
        )
    return directory


def keep_best(directory: StudyDirectory, out: Path) -> Run:
    """Copy the finished run with the lowest loss to a folder.

    Raises:
        ValueError: If no run is finished.
    """
    runs = [Run.open(directory.run_path(run.id)) for run in directory.study().runs]
    finished = [run for run in runs if run.scores() is not None]
    if not finished:
        raise ValueError(f"a run of {directory.path} must be finished, but none is: start again")
    best = min(finished, key=loss)
    for file in (best.model_path, best.path / "log.jsonl", best.path / "config.json"):
        with atomic_write(out / file.name) as copy:
            copy.write(file.read_bytes())
    return Run.open(out)


def loss(run: Run) -> float:
    """The negative β-ELBO of a scored run, in nats per image."""
    scores: dict[str, Any] = run.scores() or {}
    beta: float = run.config.settings()["objective"]["beta"]
    return beta * scores["kl"]["value"] - scores["reconstruction"]["value"]
