"""The paper's figures by number, drawn from nothing, a run or a study."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from matplotlib.figure import Figure

from isavae.data import ImageDataset
from isavae.distributions import LpTree
from isavae.figures import (
    PositionPlane,
    bias_by_magnitude,
    draw_tree,
    exponent_histograms,
    ica_components,
    iso_contours,
    mig_distributions,
    orientation,
    pruning_bias,
    rotation_bias,
    trade_off,
)
from isavae.models import PAPER_TREE
from isavae.report.run_figures import RunFigures
from isavae.runs import Run, RunConfig
from isavae.studies import finished, results, select
from isavae.toys import (
    FactorAnalysis,
    StudentICA,
    ascend,
    directions,
    maximum_likelihood_weights,
    pruning_weights,
    rotation,
)

STUDY_FIGURES, SHEETS = ("5a", "5b", "5c", "6", "7"), range(8, 17)
# The numbers of the paper's figures that `paper_figures` draws.
FIGURES = ("1", "2", "3", "4", *STUDY_FIGURES, *map(str, SHEETS))
# Those that show codes of images.
OF_IMAGES = ("3", *map(str, SHEETS))
# The weight of an objective, as figures write it: β, or γ where it has no β.
SYMBOLS = {"beta": "β", "gamma": "γ"}
# Columns that tell priors apart, and how many runs Fig. 3 shows of a study.
PRIOR, MOST_PLANES = ("prior", "prior_scale"), 6
Named = Iterator[tuple[str, Figure]]


def paper_figures(number: str, *sources: Path, data: ImageDataset | None = None) -> Named:
    """A figure of the paper, with the name of the file it would be saved as; some have two parts.

    Args:
        number: One of `FIGURES`; "5" draws 5a-c.
        *sources: What to draw it from: nothing for 1, 2 and 4; run directories for 3 (or a study,
            for a representative run of each prior, six at most); a study for 5-7 (in the paper 5a
            and 5b show dSprites, 5c and 7 the faces, 6 the cars, with every model of the study); a
            run or a study for 8-16, where the k-th of these figures shows the study's k-th model
            and β, by its representative run. For 4, a run draws its own tree.
        data: Images instead of those that the runs were trained on, for 3 and 8-16.

    Raises:
        ValueError: There is no such figure, it shows no images, or the source lacks what it needs.
    """
    if number == "5":
        for part in ("5a", "5b", "5c"):
            yield from paper_figures(part, *sources, data=data)
        return
    if number not in FIGURES:
        raise ValueError(f"the paper has figures {', '.join(FIGURES)}, not {number!r}")
    if data is not None and number not in OF_IMAGES:
        raise ValueError(
            f"other images can be drawn in figures {', '.join(OF_IMAGES)}, but figure {number} "
            "shows none: leave data out"
        )
    if number in DRAWN_FROM_NOTHING:
        yield f"figure{number}", DRAWN_FROM_NOTHING[number]()
    elif number == "4":
        yield "figure4", draw_tree(_tree(sources))
    elif not sources:
        raise ValueError(f"figure {number} needs a study or a run: isavae figure {number} DIR")
    elif number == "3":
        yield "figure3", orientation(_planes(sources, data))
    elif number in STUDY_FIGURES:
        yield f"figure{number}", _of_study(number, results(sources[0]))
    else:
        yield from _sheet(number, sources[0], data)


def ica_toy(n: int = 1000, seed: int = 0) -> Figure:
    """Fig. 1: three Student-t components in two dimensions, learned from the truth.

    With fixed lengths, variational inference (β = 1) turns the components apart. With free lengths
    it prunes one and makes the others orthogonal, at β = 1 as at β = 5.

    Args:
        n: Number of points drawn.
        seed: Seed of the points.
    """
    model = StudentICA(directions(20, 60, 120), noise=0.2)
    x = model.sample(n, seed)

    def learned(beta: float, magnitudes: bool) -> torch.Tensor:
        *_, last = ascend(model, x, beta, magnitudes)
        return last.model.weights

    return ica_components(
        x,
        {
            "true components": model.weights,
            r"VI, $\beta=1$, fixed lengths": learned(1.0, magnitudes=False),
            r"VI, $\beta=1$": learned(1.0, magnitudes=True),
            r"VI, $\beta=5$": learned(5.0, magnitudes=True),
        },
    )


def factor_analysis_toy(betas: tuple[float, ...] = (1.0, 1.5, 2.0)) -> Named:
    """The panels of B.3 to B.5: weights rotated, two latents for one direction, other lengths."""
    noise = torch.diag(torch.tensor([0.1, 0.1], dtype=torch.float64))
    moment = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    angles = torch.linspace(0, math.pi, 181, dtype=torch.float64)
    best = maximum_likelihood_weights(moment, noise, 2)
    turned = FactorAnalysis(best @ rotation(angles), noise)
    energies = {beta: turned.free_energy(moment, beta) for beta in betas}
    evidence = turned.log_evidence(moment)
    yield "fa-rotation", rotation_bias(angles, evidence, energies)
    replicated = {beta: energy / beta for beta, energy in energies.items()}
    yield "fa-rotation-replicated", rotation_bias(angles, evidence, replicated, replicated=True)

    alpha = torch.linspace(-1, 1, 201, dtype=torch.float64)
    shared = FactorAnalysis(pruning_weights(alpha), noise)
    energies = {beta: shared.free_energy(moment, beta) for beta in betas}
    yield "fa-pruning", pruning_bias(alpha, shared.log_evidence(moment), energies)

    ratios = (1.0, 1.5, 2.0, 4.0)
    lengths = [torch.diag(torch.tensor([ratio, 1.0], dtype=torch.float64)) for ratio in ratios]
    models = [FactorAnalysis(length @ rotation(angles[:91]), noise) for length in lengths]
    gaps = torch.stack([m.log_evidence(moment) - m.free_energy(moment) for m in models])
    yield "fa-magnitude", bias_by_magnitude(angles[:91], ratios, gaps)


DRAWN_FROM_NOTHING: dict[str, Callable[[], Figure]] = {"1": ica_toy, "2": iso_contours}


def learned_exponents(table: pl.DataFrame) -> np.ndarray:
    """Subspace exponents (all but the root's) of the runs whose exponents were learned.

    Learned are exponents that differ between runs of one model.
    """
    known = finished(table).filter(pl.col("exponents").list.len() > 1)
    learned = known.filter(pl.col("exponents").n_unique().over("model") > 1)
    rows = learned["exponents"].to_list()
    width = min(map(len, rows), default=1)
    return np.array([row[1:width] for row in rows]).reshape(len(rows), width - 1)


def with_series(table: pl.DataFrame) -> pl.DataFrame:
    """The table with a column `series`: the model, or the prior where it is the user's own."""
    own = pl.col("model").str.ends_with("own prior")
    return table.with_columns(
        pl.when(own).then("prior " + pl.col("prior")).otherwise("model").alias("series")
    )


def _of_study(number: str, table: pl.DataFrame) -> Figure:
    if number == "5a":
        return mig_distributions(with_series(table), by="series")
    if number == "7":
        return exponent_histograms(learned_exponents(table))
    return trade_off(with_series(table), "series")  # 5b of dSprites, 5c of faces, 6 of cars


def _sheet(number: str, source: Path, data: ImageDataset | None) -> Named:
    path = source
    if not (source / "config.json").exists():
        chosen = select(results(source))
        position = int(number) - SHEETS[0]
        if position >= len(chosen):
            last = SHEETS[0] + len(chosen) - 1
            raise ValueError(
                f"the study has {len(chosen)} models and betas, figures {SHEETS[0]} to {last}; "
                f"there is nothing for figure {number}"
            )
        path = Path(chosen["path"][position])
    figures = RunFigures.open(path, data=data)
    yield f"figure{number}-latents", figures.latents()
    yield f"figure{number}-traversals", figures.traversals()


def _planes(sources: tuple[Path, ...], data: ImageDataset | None) -> dict[str, PositionPlane]:
    """The runs of Fig. 3 (of a study one for each of its first priors) under what they are."""
    runs = list(sources)
    if len(runs) == 1 and not (runs[0] / "config.json").exists():
        chosen = select(results(runs[0])).unique(PRIOR, keep="first", maintain_order=True)
        runs = [Path(path) for path in chosen["path"][:MOST_PLANES]]
    titles = run_titles({path: Run.open(path).config for path in runs})
    opened = RunFigures.open_each(runs, data)
    return {titles[path]: run.plane() for path, run in zip(runs, opened, strict=True)}


def run_titles(configs: Mapping[Path, RunConfig]) -> dict[Path, str]:
    """What each run is: its prior, objective, β (or γ) and seed; then what else tells it apart.

    Args:
        configs: The settings of runs by their directories. Directories are named only where all
            settings are equal.
    """
    settings = {path: config.settings() for path, config in configs.items()}
    flat = {path: each | each.pop("objective") for path, each in settings.items()}
    titles = {path: _title(each) for path, each in flat.items()}
    for path, title in titles.copy().items():
        equal = [flat[other] for other in flat if _title(flat[other]) == title]
        words = [
            f"{name.replace('_', ' ')} {'default' if value is None else value}"
            for name, value in flat[path].items()
            if name != "device" and any(other.get(name) != value for other in equal)
        ]
        titles[path] = ", ".join([title, *words])
    given = Counter(titles.values())
    return {path: f"{t}, {path}" if given[t] > 1 else t for path, t in titles.items()}


def _title(settings: Mapping[str, Any]) -> str:
    weight = next((name for name in SYMBOLS if name in settings), None)
    words = [settings["name"], *([f"{SYMBOLS[weight]} = {settings[weight]:g}"] if weight else [])]
    return f"prior {settings['prior']}\n{', '.join(words)}, seed {settings['seed']}"


def _tree(sources: tuple[Path, ...]) -> LpTree:
    """A run's own tree; the paper's layout for a study, or from nothing."""
    if not sources or not (sources[0] / "config.json").exists():
        return PAPER_TREE
    prior = Run.open(sources[0]).load_model().prior
    tree = getattr(prior, "tree", None)
    if tree is None:
        raise ValueError(f"{sources[0]} has no tree to draw: its prior is {type(prior).__name__}")
    return tree
