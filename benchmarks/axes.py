"""Yardsticks for axes that mean something: methods over sets of images, as one table.

    python benchmarks/axes.py --out DIR [--sets sprites-32 digits] [--methods pca ica] [--draws 0 1]

Every set is up to 4,000 random images per draw, a fifth of which is held out; no method sees a
label. Sets of 32 x 32 are those of 64 x 64, averaged over 2 x 2 pixels. Every cell (set, draw,
method) is a JSON file in DIR, written when it is done: a run that was stopped goes on, cells may be
computed in any order, and the table holds the finished ones.

PCA and ICA have as many components as latents are in use in the `fit` of the same images if that
cell is done, else `--components`. Their codes have no posterior: the MIG is that of binned means
for all methods. `oracle` is the best of `fit`'s candidates by that MIG. `betavae` is pythae's, with
its defaults. `fit` trains for a number of steps, not for a time, so that other work on the machine
changes nothing but the seconds. R² is the share of the held-out images' variance about the mean
train image that is reconstructed from the means; stability, the agreement of seed 0 with other
seeds on all images (1 for PCA by construction); spread, the interquartile range of the MIG of these
seeds over their median. Seconds are those of training all of these seeds.
"""

import argparse
import importlib.util
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from axes_images import SETS, Images, MissingError, images_of
from torch import Tensor

from isavae.data import ImageDataset
from isavae.files import read_json, write_json, write_text
from isavae.fitting import fit
from isavae.metrics import Codes, agreement, binned_mig, dci, informative, modularity
from isavae.runs import TrainedModel

COLUMNS = ("mig", "dci", "modularity", "r2", "latents", "stability", "spread", "seconds")


@dataclass(frozen=True)
class Method:
    """A trained model as two functions: images to means and log-stds, means to images."""

    encode: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    decode: Callable[[Tensor], Tensor]


def linear(images: Images, components: int, seed: int, independent: bool) -> Method:
    """PCA, and on its whitened scores FastICA."""
    from sklearn.decomposition import PCA, FastICA

    shape = images.all.shape[1:]
    pca = PCA(components, whiten=True, svd_solver="randomized", random_state=seed)
    # In float32 FastICA loses components, two of them becoming one, more often.
    scores = pca.fit_transform(images.train.flatten(1).double().numpy())
    ica = FastICA(whiten="unit-variance", max_iter=1000, random_state=seed) if independent else None
    if ica is not None:
        ica.fit(scores)

    def encode(x: Tensor) -> tuple[Tensor, None]:
        found = pca.transform(x.flatten(1).double().numpy())
        return torch.from_numpy(ica.transform(found) if ica else found), None

    def decode(z: Tensor) -> Tensor:
        found = ica.inverse_transform(z.numpy()) if ica else z.numpy()
        return torch.from_numpy(pca.inverse_transform(found)).view(-1, *shape)

    return Method(encode, decode)


def betavae(images: Images, seed: int, out: Path) -> Method:
    if importlib.util.find_spec("pythae") is None:
        raise MissingError("pythae is not installed")
    from pythae.models import BetaVAE, BetaVAEConfig  # pyrefly: ignore
    from pythae.pipelines import TrainingPipeline  # pyrefly: ignore
    from pythae.trainers import BaseTrainerConfig  # pyrefly: ignore

    torch.manual_seed(seed)
    model = BetaVAE(BetaVAEConfig(input_dim=tuple(images.all.shape[1:])))
    config = BaseTrainerConfig(output_dir=str(out), seed=seed, no_cuda=True)
    TrainingPipeline(model, config)(train_data=images.train)

    @torch.no_grad()
    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        found = model.encoder(x)
        return found.embedding, found.log_covariance / 2

    return Method(encode, lambda z: model.decoder(z).reconstruction.detach())


def of_fit(images: Images, out: Path, args: argparse.Namespace, oracle: bool) -> list[Method]:
    """The chosen model, or the one with the highest MIG, and the other seeds of its β."""
    data = ImageDataset(images.train)
    # Without an end, and going on where it stopped.
    found = fit(data, out, math.inf, steps=args.steps, workers=args.workers)

    def by_labels(candidate: Any) -> float:
        return binned_mig(codes_of(TrainedModel.from_run(candidate.run), images)).value

    chosen = max(found.candidates, key=by_labels) if oracle else found.chosen
    peers = [c for c in found.candidates if c.beta == chosen.beta and c is not chosen]
    models = [TrainedModel.from_run(candidate.run) for candidate in (chosen, *peers)]
    return [Method(model.encode, model.decode) for model in models]


def codes_of(method: Method | TrainedModel, images: Images) -> Codes:
    return Codes(*method.encode(images.all), images.grid)


def trained(
    method: str, images: Images, out: Path, args: argparse.Namespace, k: int
) -> list[Method]:
    """The model of a cell, then those of other seeds."""
    if method in ("fit", "oracle"):
        if method == "oracle" and images.grid is None:
            raise MissingError("the set has no factors")
        return of_fit(images, out / "fit", args, method == "oracle")
    if method == "betavae":
        return [betavae(images, seed, out / f"betavae{seed}") for seed in range(args.seeds)]
    return [linear(images, k, seed, method == "ica") for seed in range(args.seeds)]


def measured(models: Sequence[Method], images: Images) -> dict[str, Any]:
    codes, *others = [codes_of(model, images) for model in models]
    rest = images.held_out - models[0].decode(models[0].encode(images.held_out)[0])
    spread = (images.held_out - images.train.mean(0)).square().sum()
    cell: dict[str, Any] = {
        "r2": 1 - float(rest.square().sum() / spread),
        "latents": int(informative(codes).sum()),
    }
    if others:
        cell["stability"] = agreement(codes, others).value
    if images.grid is not None:
        cell["migs"] = [binned_mig(seed).value for seed in (codes, *others)]
        low, middle, high = statistics.quantiles(cell["migs"], n=4, method="inclusive")
        cell["spread"] = (high - low) / middle
        scores = {"mig": binned_mig, "dci": dci, "modularity": modularity}
        cell |= {name: score(codes).value for name, score in scores.items()}
    return cell


def cell_of(name: str, draw: int, method: str, args: argparse.Namespace) -> dict[str, Any]:
    """A cell from its file, or computed and written."""
    folder = args.out / f"{name}-{draw}"
    folder.mkdir(parents=True, exist_ok=True)
    k = args.components
    if (folder / "fit.json").exists():
        k = max(1, read_json(folder / "fit.json").get("latents", k))
    path = folder / (f"{method}-{k}.json" if method in ("pca", "ica") else f"{method}.json")
    if path.exists():
        return read_json(path)
    cell: dict[str, Any] = {"set": name, "method": method, "draw": draw}
    try:
        images = images_of(name, draw)
        started = time.monotonic()
        models = trained(method, images, folder, args, k)
        cell["seconds"] = time.monotonic() - started
        cell |= measured(models, images)
    except MissingError as reason:
        return cell | {"missing": str(reason)}
    write_json(path, cell)
    print(json.dumps(cell), file=sys.stderr, flush=True)
    return cell


def table(cells: Sequence[dict[str, Any]]) -> str:
    """Means over draws, and how many there are."""
    lines = ["| set | method | draws | " + " | ".join(COLUMNS) + " |", "|---" * 11 + "|"]
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        rows.setdefault((cell["set"], cell["method"]), []).append(cell)
    for (name, method), draws in sorted(rows.items(), key=lambda row: SETS.index(row[0][0])):
        missing = {cell["missing"] for cell in draws if "missing" in cell}
        values = [[cell[c] for cell in draws if c in cell] for c in COLUMNS]
        shown = [f"{statistics.fmean(v):.3g}" if v else "" for v in values]
        said = [", ".join(missing)] + [""] * 7 if missing else shown
        lines.append(f"| {name} | {method} | {len(draws)} | {' | '.join(said)} |")
    return "\n".join(lines)


def main() -> None:
    methods = ("fit", "oracle", "pca", "ica", "betavae")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods)
    parser.add_argument("--draws", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--components", type=int, default=10, help="of PCA and ICA without a fit")
    parser.add_argument("--seeds", type=int, default=3, help="runs behind a stability")
    parser.add_argument("--steps", type=int, default=5000, help="of a run of a fit")
    parser.add_argument("--workers", type=int, default=2, help="runs of a fit at a time")
    args = parser.parse_args()
    cells = [
        cell_of(name, draw, method, args)
        for name in args.sets
        for draw in args.draws
        for method in args.methods
    ]
    write_text(args.out / "axes.md", table(cells) + "\n")
    print(table(cells))


if __name__ == "__main__":
    main()
