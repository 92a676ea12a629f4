"""Which prior, exponents and β line latents up with factors, on three kinds of drawn images.

The measurements behind docs/practitioner.md. Every run is one line of the output file, and runs
that are in it already are not repeated: `python benchmarks/advice.py out.jsonl`, in minutes to an
hour on two cores; `--table` prints what the file holds.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isavae.data import FactorGrid, ImageDataset, load
from isavae.data.drawn import cars, faces
from isavae.evaluation import encode_all, likelihood_terms
from isavae.metrics import mig
from isavae.runs import RunConfig, build_model
from isavae.training import TrainState, train

PRIORS = {
    "normal": {"prior": "normal", "n_latents": 10},
    "5 × 2, p = 2.2": {"prior": "2.1[2.2*2, 2.2*2, 2.2*2, 2.2*2, 2.2*2]"},
    "5 × 2, p = 6": {"prior": "2.1[6*2, 6*2, 6*2, 6*2, 6*2]"},
    "10 × 1, p = 6": {"prior": "6*10"},
}
BETAS = (4.0, 16.0, 40.0)
SEEDS = range(3)
STEPS = 1000
KEY = ("data", "likelihood", "prior", "beta", "seed")


def sprites() -> ImageDataset:
    """A heart of two sizes anywhere, upright: 2,048 binary images, 16 × 16."""
    return load("dsprites16[shape=heart, orientation=0, scale=::5]")


def heads() -> ImageDataset:
    """Four heads turned and lit: 10,164 grey images, 16 × 16."""
    four = faces.heads(n=4)
    views = product(faces.AZIMUTHS, faces.ELEVATIONS)
    images = torch.stack([faces.render(four, azimuth, elevation) for azimuth, elevation in views])
    grid = FactorGrid(
        names=("azimuth", "elevation", "identity", "lighting"),
        sizes=(21, 11, 4, 11),
        scored=("azimuth", "elevation", "lighting"),
    )
    return shrunk(images.flatten(0, 2)[:, None], 4, grid)


def vehicles() -> ImageDataset:
    """Twenty cars from all around: 1,920 colour images, 16 × 16."""
    twenty = cars.cars(n=20)
    views = product(cars.ELEVATIONS, range(0, 360, 15))
    images = torch.stack([cars.render(twenty, azimuth, elevation) for elevation, azimuth in views])
    grid = FactorGrid(names=("elevation", "azimuth", "object"), sizes=(4, 24, 20))
    return shrunk(images.flatten(0, 1), 4, grid)


def shrunk(images: torch.Tensor, by: int, grid: FactorGrid) -> ImageDataset:
    """The images with `by` × `by` pixels averaged to one."""
    return ImageDataset.from_arrays(torch.nn.functional.avg_pool2d(images, by).clamp(0, 1), grid)


DATA = {"sprites": sprites, "heads": heads, "cars": vehicles}


@cache
def opened(data: str) -> ImageDataset:
    """The images of that name, drawn once."""
    return DATA[data]()


def runs() -> Iterator[tuple[str, str, str, float, int]]:
    """The key of every run, seeds outermost."""
    for seed, data, beta, prior in product(SEEDS, DATA, BETAS, PRIORS):
        yield data, "gaussian(0.1)", prior, beta, seed


def measure(data: str, likelihood: str, prior: str, beta: float, seed: int) -> dict[str, Any]:
    """Train one small model; its scores."""
    images = opened(data)
    settings = PRIORS[prior] | {"prior_scale": "standardised", "likelihood": likelihood}
    settings |= {"objective": {"name": "beta-vae", "beta": beta}, "seed": seed, "width": 128}
    config = RunConfig.parse(settings)
    state = TrainState(build_model(config, images.shape))
    for _ in train(state, images, config.objective, steps=STEPS, batch_size=64, seed=seed):
        pass
    codes = encode_all(state.model, images)
    terms = likelihood_terms(state.model, images, 2000)
    gap = mig(codes)
    return {
        "mig": gap.value,
        "gaps": dict(gap.per_factor),
        "reconstruction": terms["reconstruction"].value,
        "kl": terms["kl"].value,
        "active": int((codes.mean.var(0) > 0.01).sum()),
    }


def table(lines: list[dict[str, Any]]) -> None:
    """MIG as median (lowest to highest), per data set, likelihood and β."""
    cells: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        cells[tuple(line[name] for name in KEY[:-1])].append(line)
    for data, likelihood in sorted({key[:2] for key in cells}):
        print(f"\n{data}, {likelihood}: median MIG (lowest to highest), log p(x|z), active latents")
        for prior, beta in product(PRIORS, BETAS):
            if some := cells.get((data, likelihood, prior, beta)):
                migs = [line["mig"] for line in some]
                fit, active = (
                    np.median([line[n] for line in some]) for n in ("reconstruction", "active")
                )
                print(
                    f"{prior:<16} β = {beta:<4g} {np.median(migs):.3f} ({min(migs):.3f} to "
                    f"{max(migs):.3f}) {fit:9.1f} {active:5.1f}  n = {len(migs)}"
                )


def main() -> None:
    """Measure what is missing in the file, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--data", choices=DATA, nargs="+", default=[*DATA])
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.out.open()] if options.out.exists() else []
    done = {tuple(line[name] for name in KEY) for line in lines}
    for run in () if options.table else runs():
        if run[0] in options.data and run not in done:
            lines.append(dict(zip(KEY, run, strict=True)) | measure(*run))
            with options.out.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    table(lines)


if __name__ == "__main__":
    main()
