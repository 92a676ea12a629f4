"""The results of `fit` as one self-contained HTML page."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from importlib import resources
from itertools import groupby
from string import Template

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset
from isavae.data.tiles import png, tile
from isavae.evaluation import decode_traversals, reconstruct
from isavae.fit.axes import Axis
from isavae.fit.fitted import Fitted
from isavae.metrics import Codes
from isavae.runs import TrainedModel

STEPS = 9
# Few enough that every image of a sheet can be seen on a phone.
COLUMNS = 6
# One below the other on a phone, side by side elsewhere.
SHEETS = 2


def render(fitted: Fitted, data: ImageDataset) -> str:
    """The page.

    Args:
        fitted: The result to show.
        data: The images.
    """
    template = resources.files("isavae.fit") / "fit_report.html"
    return Template(template.read_text(encoding="utf-8")).substitute(
        found=_list(fitted.sentences()),
        axes=_axes(fitted),
        reconstructions=_reconstructions(fitted.model, data),
        samples=_samples(fitted.model),
        candidates=_candidates(fitted),
        exponents=_exponents(fitted.model),
        decided=_list(fitted.reasons),
        left_out=_left_out(fitted.left_out),
    )


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _axes(fitted: Fitted) -> str:
    """A card per subspace, a strip per latent in use."""
    return "".join(
        f"<section><h3>Subspace {k + 1}</h3>{''.join(_axis(fitted, axis) for axis in group)}"
        "</section>"
        for k, group in groupby(fitted.axes, lambda axis: axis.subspace)
    )


def _axis(fitted: Fitted, axis: Axis) -> str:
    # Between the 2 % and 98 % quantiles of this latent's codes: what lies outside was hardly seen.
    column = fitted.codes.mean[:, axis.latent]
    low, high = (float(column.quantile(q)) for q in (0.02, 0.98))
    values = torch.linspace(low, high, STEPS)
    middle = _middle(fitted.codes)
    (images,) = decode_traversals(fitted.model.vae, middle, [axis.latent], values)
    kind = axis.verdict.replace(" ", "-")
    return (
        f'<figure class="{kind}"><figcaption><b>{axis.name}</b> '
        f'<span class="verdict">{axis.verdict}</span> '
        f"agreement {axis.agreement:.2f}, carries {axis.information:.2f} nats</figcaption>"
        f"{_image(tile(images, STEPS), f'{axis.name} from {low:.2f} to {high:.2f}')}</figure>"
    )


def _middle(codes: Codes) -> Float[Tensor, "latents"]:
    """The code nearest to the median of all codes."""
    distance = (codes.mean - codes.mean.median(0).values).square().sum(1)
    return codes.mean[distance.argmin()]


def _reconstructions(model: TrainedModel, data: ImageDataset) -> str:
    images = data.sample(min(SHEETS * COLUMNS, len(data))).batch(slice(None))
    pairs = zip(images.split(COLUMNS), reconstruct(model.vae, images).split(COLUMNS), strict=True)
    said = "images above, their reconstructions below"
    return _sheets([(tile(torch.cat(pair), len(pair[0])), said) for pair in pairs])


def _samples(model: TrainedModel) -> str:
    draws = model.sample(2 * SHEETS * COLUMNS).chunk(SHEETS)
    return _sheets([(tile(some, COLUMNS), "decoded draws of the prior") for some in draws])


def _sheets(sheets: Sequence[tuple[np.ndarray, str]]) -> str:
    return f'<div class="sheets">{"".join(_image(*sheet) for sheet in sheets)}</div>'


def _candidates(fitted: Fitted) -> str:
    rows = []
    for one in sorted(fitted.candidates, key=lambda one: (one.beta, one.seed)):
        mark = ' class="chosen"' if one is fitted.chosen else ""
        cells = (
            f"{one.beta:g}",
            f"{one.seed}",
            f"{one.udr:.2f}",
            f"{one.reconstruction:.1f}",
            f"{one.kl:.2f}",
            f"{one.used}",
        )
        rows.append(f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return "".join(rows)


def _exponents(model: TrainedModel) -> str:
    """The exponents of the trained model, one per inner node of its tree."""
    exponents = getattr(model.vae.prior, "exponents", None)
    if exponents is None:
        return f"<p>The prior {escape(model.config.prior)} is no tree and has no exponents.</p>"
    p0, *inner = [f"{p:.2f}" for p in exponents.tolist()]
    if model.config.learn_exponents:
        how = f"The inner ones were learned; training started from {escape(model.config.prior)}."
    else:
        how = "They were fixed; <code>--learn-exponents</code> learns the inner ones."
    return (
        f"<p>Between subspaces {p0}; within them, from the first, {', '.join(inner) or 'none'}. "
        f"{how} At 2 a subspace's axes could be turned at no cost; the farther from 2, the "
        "more the prior holds on to them.</p>"
    )


def _left_out(left_out: dict[str, str]) -> str:
    if not left_out:
        return "<p>All images could be read.</p>"
    return _list([f"{name}: {why}" for name, why in left_out.items()])


def _image(pixels: np.ndarray, alternative: str) -> str:
    """An image within the page."""
    encoded = b64encode(png(pixels)).decode()
    return f'<img src="data:image/png;base64,{encoded}" alt="{escape(alternative)}">'
