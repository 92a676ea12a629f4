"""Every view of the page beside a small picture of it, compared with tolerance.

Fonts and the last digits of a trained model differ between machines: what must agree is where
things stand and their colours. The comparison is among the slow tests, since a machine without the
usual fonts may exceed the tolerance. With `ISAVAE_WRITE_REFERENCES=1` in the environment these
tests write the pictures anew; look at them before you commit them.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.explorer_page import CHROMIUM, settle, visit
from tests.explorer_site import serving, train_small

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]
FOLDER = Path(__file__).parent / "references"
WIDTH = 240  # of a picture
# Places are compared as means over squares of so many pixels of a picture; text may move them up or
# down by one.
SIDE = 10
# Of 255: a colour, and how much a place differs from the paper ("ink"); ink is there, or not.
COLOUR, INK, TIMES = 60, 3, 4
# The share of the places that may be others, and how much longer or shorter a page may be.
SHARE, LENGTH = 0.06, 0.06
VIEWS = [
    (kind, width, scheme)
    for kind in ("run", "study")
    for width, scheme in ((360, "dark"), (768, "light"), (1280, "light"), (1280, "dark"))
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer") / "study"
    for seed in (0, 1):
        train_small(folder / "runs" / f"run-{seed}", seed=seed)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "width", "scheme"), VIEWS)
def test_a_view_looks_as_it_was_approved(browser, study, kind, width, scheme):
    path = study if kind == "study" else study / "runs" / "run-0"
    with serving(path) as site, visit(browser, site, width=width, scheme=scheme) as page:
        settle(page, site)
        page.wait_for_selector("#nearest .tile")
        page.wait_for_timeout(600)
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    small = shot.resize((WIDTH, round(WIDTH * shot.height / shot.width)), Image.Resampling.BOX)
    file = FOLDER / f"{kind}-{width}-{scheme}.png"
    if os.environ.get("ISAVAE_WRITE_REFERENCES"):
        FOLDER.mkdir(exist_ok=True)
        small.quantize(48, dither=Image.Dither.NONE).save(file, optimize=True)
    assert differences(small, Image.open(file).convert("RGB")) == []


def differences(found: Image.Image, wanted: Image.Image) -> list[str]:
    """In what a picture differs from that which was approved."""
    said = []
    if abs(found.height / wanted.height - 1) > LENGTH:
        said.append(f"it is {found.height} high instead of {wanted.height}")
    ours, theirs = places(found.resize(wanted.size)), places(wanted)
    least = np.inf
    for rows in (-1, 0, 1):
        moved = np.roll(ours, rows, axis=0)
        other = abs(moved - theirs)[..., :3].max(-1) > COLOUR
        low, high = (f(moved, theirs)[..., 3] for f in (np.minimum, np.maximum))
        least = np.minimum(least, other | ((high > INK) & (low < high / TIMES)))
    if least.mean() > SHARE:
        said.append(f"{least.mean():.1%} of it is something else")
    return said


def places(picture: Image.Image) -> np.ndarray:
    """The mean colour of every square, and its mean difference from the paper."""
    pixels = np.asarray(picture, float)
    ink = abs(pixels - pixels[1, 1]).max(-1, keepdims=True)
    rows, columns = (size // SIDE for size in pixels.shape[:2])
    cut = np.concatenate([pixels, ink], -1)[: rows * SIDE, : columns * SIDE]
    return cut.reshape(rows, SIDE, columns, SIDE, 4).mean((1, 3))


def test_what_is_missing_or_of_another_colour_is_seen():
    wanted = Image.open(FOLDER / "run-1280-light.png").convert("RGB")
    assert differences(wanted, wanted) == []
    dark = Image.open(FOLDER / "run-1280-dark.png").convert("RGB")
    assert differences(dark, wanted)
    empty = wanted.copy()  # the cards of the latents are not there
    empty.paste(wanted.getpixel((1, 1)), (60, 10, 240, 120))
    assert differences(empty, wanted)
    moved = wanted.copy()  # as another font does
    moved.paste(wanted, (0, SIDE // 2))
    assert differences(moved, wanted) == []
    longer = wanted.resize((WIDTH, round(1.2 * wanted.height)))
    assert differences(longer, wanted)
