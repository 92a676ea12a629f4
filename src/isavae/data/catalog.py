"""`DATASETS`: every data set by name; the only place where a data set's name means anything."""

import difflib
import math
import os
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from isavae.data import grids
from isavae.data.cache import read
from isavae.data.classes import parse_choices
from isavae.data.dataset import ImageDataset
from isavae.data.drawn import cars, faces, rooms, sprites, variants
from isavae.data.factors import FactorGrid
from isavae.data.official import OFFICIAL, how_to_get, open_official
from isavae.data.own.open import Check, open_path, unchecked
from isavae.data.own.preprocessing import parse_size
from isavae.data.places import cache_file
from isavae.errors import shown


@final
@dataclass(frozen=True)
class Source:
    """The source of a data set.

    Args:
        about: A description in one line.
        licence: The licence, or where to find it.
        shape: (channels, height, width).
        grid: The factors.
        open: Opens the data set; draws it first if it is drawn here.
        part: Opens the images with some classes of some factors, where that is cheaper than all.
        is_drawn: Whether it is drawn here; others are published files that must be imported.
        cache_name: The data set whose file in the cache is used; by default this one.
        bits: Bits per value of a pixel in that file.
    """

    about: str
    licence: str
    shape: tuple[int, int, int]
    grid: FactorGrid
    open: Callable[[], ImageDataset]
    part: Callable[..., ImageDataset] | None = None
    is_drawn: bool = True
    cache_name: str = ""
    bits: float | int = 8

    @property
    def stored_bytes(self) -> int:
        """Bytes on disk, and the most in memory."""
        return round(len(self.grid) * math.prod(self.shape) * self.bits / 8)


def _sprites(size: int) -> Source:
    return Source(
        about=f"2-D shapes, {size} x {size} binary, drawn here",
        licence="Apache-2.0",
        shape=(1, size, size),
        grid=grids.DSPRITES,
        open=partial(sprites.dsprites, size),
        part=partial(sprites.dsprites, size),
        bits=1,
    )


def _variant(about: str, opened: Callable[[], ImageDataset]) -> Source:
    return Source(
        about=f"{about}, 64 x 64 colour, drawn here; stored as dsprites",
        licence="Apache-2.0",
        shape=(3, 64, 64),
        grid=grids.DSPRITES,
        open=opened,
        cache_name="dsprites",
        bits=1 / 3,
    )


def _published(name: str) -> Source:
    official = OFFICIAL[name]
    return Source(
        about=official.about,
        licence=official.licence,
        shape=official.shape,
        grid=official.grid,
        open=partial(open_official, name),
        is_drawn=False,
        bits=1 if official.binary else 8,
    )


# The data sets that `load` knows by name; a name may have options in brackets.
DATASETS: dict[str, Source] = {
    "dsprites": _sprites(64),
    "dsprites32": _sprites(32),
    "dsprites16": _sprites(16),
    "dsprites-color": _variant("dsprites in random colours", variants.coloured_dsprites),
    "dsprites-noisy": _variant("dsprites in white on coloured noise", variants.noisy_dsprites),
    "faces3d-drawn": Source(
        about="heads turned and lit, 64 x 64 grey, drawn here on the grid of faces3d",
        licence="Apache-2.0",
        shape=(1, 64, 64),
        grid=grids.FACES3D,
        open=faces.faces3d_drawn,
    ),
    "cars3d-drawn": Source(
        about="cars seen from around, 64 x 64 colour, drawn here on the grid of cars3d",
        licence="Apache-2.0",
        shape=(3, 64, 64),
        grid=grids.CARS3D,
        open=cars.cars3d_drawn,
    ),
    "rooms3d-drawn": Source(
        about="an object in a room, 64 x 64 colour, drawn here on the grid of shapes3d",
        licence="Apache-2.0",
        shape=(3, 64, 64),
        grid=grids.ROOMS3D,
        open=rooms.rooms3d_drawn,
        bits=8 * 4 / 3 / 1000,  # 480 views of four values per pixel
    ),
    **{name: _published(name) for name in OFFICIAL},
}

# Options of `open_path` that take one value.
SINGLE = {"fit", "axes", "channels", "range", "pages", "key"}
SINGLE |= {"factors", "factors_by_order", "unknown"}
# Characters of the name of a data set with its options.
MOST_LETTERS = 10_000
# Options whose values may be separated by commas, too.
CHANNELS_SHOWN = re.compile(r"\bshow\s*=\s*\d+(\s*,\s*\d+)+")


def load(name: str, check: Check = unchecked) -> ImageDataset:
    """Open a data set; draw it first if it is drawn here and not in the cache.

    Args:
        name: A name in `DATASETS`, or the path of your own images, with a choice of factor classes
            if a part is wanted: `dsprites[shape=heart, scale=::2, posX=3|5]`. A class is a
            category's name or a number; `a:b:c` is a slice; `|` separates several.
        check: Called with the number and the shape of your own images before they are read, and of
            those that were; may refuse them.

    Raises:
        ValueError: If there is no such data set, factor or class.

    Examples:
        >>> load("dsprites[shape=heart, scale=::2, orientation=0]")
        ImageDataset(dsprites[shape=heart, scale=::2, orientation=0]: 3,072 images, 1 x 64 x 64...)
    """
    if len(name) > MOST_LETTERS:
        raise ValueError(
            f"The name of a data set must have at most {MOST_LETTERS:,} characters, but has "
            f"{len(name):,}: shorten it."
        )
    path, options = split_path(name)
    if path not in DATASETS and os.path.exists(path):
        return load_path(Path(path), options, check)
    # In linear time: a name may come from the files of a stranger.
    match = re.fullmatch(r"([^\[\]]+)(?:\[(.*)\])?", name.strip())
    known = match[1].strip() if match else ""
    if known not in DATASETS and re.search(r"[/\\.~]", known):
        raise ValueError(f"Images must be there to be read, but there is nothing at {known}.")
    if match is None or known not in DATASETS:
        near = difflib.get_close_matches((known or name)[:100], DATASETS, cutoff=0.4)
        raise ValueError(
            f"The data set must be one of {', '.join(DATASETS)}, or the path of images that are "
            f"there, but is {shown(name)}"
            + (f": did you mean {' or '.join(near)}?" if near else ".")
        )
    if not match[2]:
        return DATASETS[known].open()
    source, choices = DATASETS[known], parse_choices(match[2])
    dataset = source.part(**choices) if source.part else source.open().select(**choices)
    return dataset.named(re.sub(r"\s*,\s*", ", ", f"{known}[{match[2].strip()}]"))


def check_images_are_there(name: str, model: str) -> None:
    """Check that images of training are where they were.

    Args:
        name: The name of the data set.
        model: The model that was trained on them.

    Raises:
        ValueError: If the name is a path, and there is nothing (any more).
    """
    path, options = split_path(name)
    if options or os.path.exists(path) or re.split(r"\s*\[", path)[0] in DATASETS:
        return
    raise ValueError(
        f"the images of {model} must be where they were in training, but there is nothing at "
        f"{path}: name their new place with --data"
    )


def split_path(name: str) -> tuple[str, str]:
    """The longest path that exists, and the options in brackets after it; a path may have [."""
    if os.path.exists(name):  # a `Path` raises an error where the name is too long
        return name, ""
    text = name.strip()
    places = [at for at, letter in enumerate(text) if letter == "["] if text.endswith("]") else []
    for at in reversed(places):
        if os.path.exists(path := text[:at].strip()):
            return path, text[at + 1 : -1]
    return text, ""


def load_path(path: Path, options: str = "", check: Check = unchecked) -> ImageDataset:
    """Open your own images.

    Args:
        path: A folder of images, or an .npy, .npz or .h5 file.
        options: How to read them (see `open_path`) and which to choose by their factors:
            `size=64, fit=crop, kind=cat`.
        check: As for `load`.

    Raises:
        ValueError: If they cannot be read in this way.
    """
    how, choices = parse_options(options)
    dataset = open_path(path, **how, check=check)
    return dataset.select(**choices) if choices else dataset


def parse_options(options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """How to read a user's own images, as arguments of `open_path`, and the choice of classes.

    Raises:
        ValueError: If an option is not valid.

    Examples:
        >>> parse_options("size=48x64, fit=crop, kind=cat")
        ({'fit': 'crop', 'size': (48, 64)}, {'kind': ['cat']})
        >>> parse_options("show=0,2,1, axes=chw")
        ({'axes': 'chw', 'show': (0, 2, 1)}, {})
    """
    options = CHANNELS_SHOWN.sub(lambda found: found[0].replace(",", "|"), options)
    choices: dict[str, Any] = parse_choices(options) if options else {}
    how = {key: choices.pop(key) for key in sorted({"size", "show", *SINGLE}) if key in choices}
    if ranges := [key for key, value in how.items() if isinstance(value, slice)]:
        raise ValueError(f"The option {ranges[0]} must be a value, but is a range: write size=64.")
    for key in sorted(SINGLE & how.keys()):
        if len(how[key]) > 1:
            raise ValueError(f"The option {key} must be one value, but is {how[key]}: give one.")
        how[key] = how[key][0]
    if "size" in how:
        how["size"] = parse_size("x".join(map(str, how["size"])))
    if "show" in how:
        how["show"] = tuple(how["show"])
        if not all(isinstance(channel, int) for channel in how["show"]):
            raise ValueError(
                f"The option show must be channels such as 0,2,1, but is {how['show']}."
            )
    if not isinstance(how.get("channels", 1), int):
        raise ValueError(f"The option channels must be a whole number, but is {how['channels']!r}.")
    if how.get("pages") == "first":
        how["pages"] = 1
    for key in ("range", "key") & how.keys():
        how[key] = str(how[key])
    if "factors" in how:
        how["factors"] = Path(str(how["factors"]))
    if "factors_by_order" in how:
        if how["factors_by_order"] not in ("yes", "no"):
            raise ValueError(
                "The option factors_by_order must be yes or no, but is "
                f"{how['factors_by_order']!r}."
            )
        how["factors_by_order"] = how["factors_by_order"] == "yes"
    return how, choices


def listing() -> str:
    """A list of all data sets: size, factors, licence, and whether each is in the cache."""
    lines = []
    for name, source in DATASETS.items():
        where = "drawn on first use" if source.is_drawn else how_to_get(name)
        file = cache_file(source.cache_name or name)
        if read(file) is not None:
            where = f"in {file}"
        grid = zip(source.grid.names, source.grid.sizes, strict=True)
        lines += [
            f"{name:<17} {len(source.grid):>9,} images {source.stored_bytes / 1e6:>9,.0f} MB",
            _indented(source.about),
            _indented(f"factors: {', '.join(f'{factor} {size}' for factor, size in grid)}"),
            _indented(f"licence: {source.licence}"),
            _indented(where),
        ]
    return "\n".join(lines)


def _indented(text: str) -> str:
    """Wrap to 79 characters, but keep addresses and paths whole."""
    return textwrap.fill(
        text,
        79,
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
