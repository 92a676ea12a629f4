"""What a request asks for: codes, classes of factors, whole numbers."""

import numpy as np
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from isavae.data import FactorGrid
from isavae.explorer.library import ServedModel

NAMES = TypeAdapter(dict[str, str])
MOST_CODES = 256
MOST_PIXELS = 1 << 24


def read_codes(shown: ServedModel, body: bytes) -> np.ndarray:
    """The codes in a body of little-endian float32, one a row."""
    model, (channels, height, width) = shown.trained.vae, shown.trained.shape
    latents = model.prior.n_latents
    most = min(MOST_CODES, MOST_PIXELS // (channels * height * width))
    count, rest = divmod(len(body), 4 * latents)
    if rest or not 1 <= count <= most:
        raise ValueError(
            f"codes must be 1 to {most} rows of {latents} float32; these are {len(body)} bytes"
        )
    codes = np.frombuffer(body, dtype="<f4").reshape(count, latents)
    if not np.isfinite(codes).all():
        raise ValueError("codes must be finite numbers; some of these are not")
    return codes


def read_names(body: bytes) -> dict[str, str]:
    """The names of latents in a body of JSON, {"z5": "slant"}."""
    try:
        return NAMES.validate_json(body)
    except ValidationError:
        raise ValueError('names must be JSON such as {"z5": "slant"}; these are not') from None


def nearest_row(grid: FactorGrid, wanted: list[int]) -> int:
    """The row that shows the wanted classes, else most of them and the nearest others.

    Args:
        grid: The factors of some images.
        wanted: A class of every factor.

    >>> nearest_row(FactorGrid(("x", "y"), (4, 4), labels=np.array([[0, 3], [2, 3]])), [3, 3])
    1
    """
    if len(wanted) != len(grid.sizes):
        raise ValueError(f"a class of each of {grid.names} is needed; {len(wanted)} are given")
    if any(not 0 <= c < size for c, size in zip(wanted, grid.sizes, strict=True)):
        raise ValueError(f"classes of {grid.names} must lie within {grid.sizes}; got {wanted}")
    if grid.is_complete:
        return grid.index(wanted)
    off = np.abs(grid.labels_array() - np.array(wanted)) / np.array(grid.sizes)
    return int((off + (off > 0)).sum(axis=1).argmin())


def known_factors(grid: FactorGrid | None) -> FactorGrid:
    if grid is None:
        raise ValueError("the factors of these images are not known: choose images by their number")
    return grid


def integers(request: Request, name: str) -> list[int]:
    text = request.query_params.get(name, "")
    try:
        return [int(word) for word in text.split(",")[:100]]
    except ValueError:
        raise ValueError(f"{name} must be whole numbers; got {text[:40]!r}") from None


def integer(request: Request, name: str, below: int) -> int:
    values = integers(request, name)
    if len(values) != 1 or not 0 <= values[0] < below:
        raise ValueError(f"{name} must be one whole number in 0..{below - 1}")
    return values[0]
