"""What changes while runs train: the tables `results/angles.csv` and `results/exponents.csv`.

    python -m tools.along_training angles STUDY OUT.csv [--beta 1 4] [--seeds 10]
    python -m tools.along_training exponents OUT.csv [--data faces3d-drawn cars3d-drawn]

`angles` trains the runs of a study (`--seeds` of each setting) as `isavae train` does, and encodes
the same 5,000 images at some steps. `exponents` trains ISA-VAEs with learned exponents at β = 1.
A run whose rows are in the table is left out: an interrupted command goes on where it was.
"""

import argparse
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isavae.data import FactorGrid, ImageDataset, load
from isavae.evaluation import encode_all
from isavae.metrics import Codes, binned_mig
from isavae.models import VAE
from isavae.runs import RunConfig, fresh_state, take_steps, training_images
from isavae.studies import Study
from tools.runs import read_runs

IMAGES, SEED = 5000, 0
ANGLES_AT = (
    0, 25, 50, 100, 150, 200, 300, 400, 600, 800, 1000, 1400, 2000, 2800, 4000, 5600, 7200,
)  # fmt: skip
EXPONENTS_AT = {*ANGLES_AT[1:], *range(600, 7200, 600)}
ISA_LEARNED = {
    "model": "isa-vae",
    "prior": "2.1[2*4, 2*4, 2*4, 2*4, 2*4]",
    "learn_exponents": True,
    "width": 400,
    "batch_size": 256,
    "steps": 7200,
}
Row = dict[str, Any]
Look = Callable[[VAE, dict[str, float]], Row]


def position_axes(mean: np.ndarray, grid: FactorGrid) -> dict[str, float]:
    """How far the two latents that follow the position most are turned away from x and y.

    Each latent's mean is fitted by a plane over (x, y). The angle between the plane's slope and the
    nearer axis is 0 degrees for a latent of one coordinate and 45 for one of both alike; a
    direction without preference has 22.5 on average.
    """
    labels = grid.labels_array()
    x, y = (labels[:, grid.names.index(name)] for name in ("posX", "posY"))
    plane = np.stack([x - x.mean(), y - y.mean(), np.ones(len(x))], axis=1)
    slopes, *_ = np.linalg.lstsq(plane, mean.astype(float), rcond=None)
    left = ((mean - plane @ slopes) ** 2).sum(0) / ((mean - mean.mean(0)) ** 2).sum(0).clip(1e-12)
    angles = np.degrees(np.arctan2(np.abs(slopes[1]), np.abs(slopes[0])))
    two = left.argsort()[:2]
    return {
        "angle": float(np.minimum(angles, 90 - angles)[two].mean()),
        "position_r2": float(1 - left[two].mean()),
    }


def angles_of_study(study: Study, out: Path, betas: list[float], seeds: int) -> None:
    """Add the rows of its runs of β-VAE's objective, under every prior."""
    for run in study.runs_by_seed():
        config = run.config
        values = config.settings()
        beta = getattr(config.objective, "beta", None)
        if config.objective.name != "beta-vae" or beta not in betas or config.seed >= seeds:
            continue
        of_run = {
            "study": study.name,
            "network": config.network,
            "prior": values["prior"],
            "prior_scale": str(values["prior_scale"]),
            "beta": beta,
            "seed": config.seed,
        }
        images = load(config.data).sample(IMAGES, SEED)
        add_rows(out, of_run, config, ANGLES_AT, partial(_angles, images))


def _angles(images: ImageDataset, model: VAE, _: dict[str, float]) -> Row:
    codes = encode_all(model, images)
    assert codes.grid is not None
    axes = position_axes(codes.mean.numpy(), codes.grid)
    return {**axes, "binned_mig": binned_mig(Codes(codes.mean, factors=codes.grid)).value}


def learned_exponents(out: Path, data: list[str], seeds: int) -> None:
    """Add the rows of ISA-VAEs that learn their exponents."""
    for seed in range(seeds):
        for name in data:
            config = RunConfig.parse(ISA_LEARNED | {"data": name, "seed": seed})
            add_rows(out, {"data": name, "seed": seed}, config, EXPONENTS_AT, exponents_of)


def exponents_of(_: VAE | None, values: dict[str, float]) -> Row:
    """The exponents of the subspaces, and the terms of the loss."""
    names = [f"p{k}" for k in range(1, 6)] + ["reconstruction", "kl"]
    return {name: values.get(name) for name in names}


def add_rows(out: Path, of_run: Row, config: RunConfig, at: Collection[int], look: Look) -> None:
    """Train a run and add a row per step that is looked at, unless its rows are there."""
    known = read_runs(out) if out.exists() else None
    if known is not None and len(known.filter(**of_run)):
        return
    data = load(config.data)
    state, steps = fresh_state(config, data.shape), config.total_steps(len(data))
    rows = [of_run | {"step": 0} | look(state.model, {})] if 0 in at else []
    rows += [
        of_run | {"step": report.step} | look(state.model, report.to_floats())
        for report in take_steps(config, state, training_images(config, data), steps)
        if report.step in at or report.step == steps
    ]
    new = pl.DataFrame(rows).with_columns(pl.col(pl.Float64).round(4))
    table = new if known is None else pl.concat([known, new])
    written = out.with_name(f"{out.name}.part")
    table.write_csv(written)
    written.replace(out)
    print(f"{of_run}: {len(rows)} rows", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    commands = parser.add_subparsers(dest="command", required=True)
    angles = commands.add_parser("angles", help="of the latents that follow the position")
    angles.add_argument("study")
    angles.add_argument("out", type=Path)
    angles.add_argument("--beta", nargs="+", type=float, default=[1.0])
    exponents = commands.add_parser("exponents", help="of ISA priors that learn them")
    exponents.add_argument("out", type=Path)
    exponents.add_argument("--data", nargs="+", default=["cars3d-drawn", "faces3d-drawn"])
    flags = parser.parse_args()
    if flags.command == "angles":
        study = Study.from_file(flags.study)
        angles_of_study(study, flags.out, flags.beta, flags.seeds)
    else:
        learned_exponents(flags.out, flags.data, flags.seeds)


if __name__ == "__main__":
    main()
