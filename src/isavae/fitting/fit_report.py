"""The results of `fit` as one self-contained HTML page."""

from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from isavae.data import ImageDataset, Preprocessing
from isavae.data.tiles import png, tile
from isavae.evaluation import decode_traversals, reconstruct
from isavae.fitting.axes import Axis
from isavae.fitting.fitted import Fitted
from isavae.metrics import median_row, nearest_along
from isavae.pages import render_page

STEPS = 9
# Few enough that every image of a sheet can be seen on a phone.
COLUMNS = 6
# One below the other on a phone, side by side elsewhere.
SHEETS = 2
# Inches, so that the numbers of a chart can be read on a phone.
CHART = 4.8


def render(fitted: Fitted, data: ImageDataset, name: str) -> str:
    """The page.

    Args:
        fitted: The result to show.
        data: The images.
        name: The name of the folder.
    """
    vae, sheet = fitted.model.vae, partial(_sheet, fitted.model.preprocessing)
    by_subspace = groupby(fitted.axes, lambda axis: axis.subspace)
    images = data.sample(min(SHEETS * COLUMNS, len(data))).batch(slice(None))
    pairs = zip(images.split(COLUMNS), reconstruct(vae, images).split(COLUMNS), strict=True)
    return render_page(
        "fitting/fit_report.html",
        name=name,
        example=f"z{fitted.axes[0].latent + 1}",
        learning=_learning(fitted),
        fitted=fitted,
        config=fitted.model.config,
        exponents=getattr(vae.prior, "exponents", torch.empty(0)).tolist(),
        subspaces=[
            (k + 1, [_strip(fitted, data, axis) for axis in group]) for k, group in by_subspace
        ],
        reconstructions=[sheet(torch.cat(pair), len(pair[0])) for pair in pairs],
        samples=[sheet(s) for s in fitted.model.sample(2 * SHEETS * COLUMNS).chunk(SHEETS)],
        candidates=sorted(fitted.candidates, key=lambda one: (one.beta, one.seed)),
    )


def _learning(fitted: Fitted) -> str:
    """The learning curves of the seeds of the chosen β."""
    from isavae.figures import learning_curves  # `import isavae.fitting` does without Matplotlib
    from isavae.report.study_report import svg

    seeds = [one for one in fitted.candidates if one.beta == fitted.chosen.beta]
    logs = [one.run.log() for one in seeds]
    return svg(learning_curves(logs, seeds.index(fitted.chosen), CHART))


def _strip(fitted: Fitted, data: ImageDataset, axis: Axis) -> dict[str, Any]:
    """An axis as a PNG file: a traversal, and below it the real images nearest along it.

    It goes from the 2 % to the 98 % quantile of its codes: what lies outside was hardly seen. The
    other latents stay at the code nearest to the median.
    """
    mean = fitted.codes.mean
    low, high = (float(mean[:, axis.latent].quantile(q)) for q in (0.02, 0.98))
    middle = mean[median_row(mean)]
    values = torch.linspace(low, high, STEPS)
    (decoded,) = decode_traversals(fitted.model.vae, middle, [axis.latent], values)
    used = [each.latent for each in fitted.axes]
    nearest = nearest_along(mean, axis.latent, middle, values, used)
    return {
        "axis": axis,
        "verdict": fitted.verdict(axis),
        "low": low,
        "high": high,
        "png": _sheet(fitted.model.preprocessing, torch.cat([decoded, data.batch(nearest)]), STEPS),
    }


def _sheet(how: Preprocessing, images: Tensor, columns: int = COLUMNS) -> bytes:
    return png(tile(how.shown(images), columns))
