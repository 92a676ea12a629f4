"""The codes of images as a table: CSV for spreadsheets, Parquet for everything else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset, Preprocessing, read_folder
from isavae.files import atomic_write
from isavae.metrics import Codes
from isavae.models import Prior
from isavae.runs import TrainedModel


def codes_table(names: Sequence[str], codes: Codes, prior: Prior) -> pl.DataFrame:
    """One row per image: its name, then the means and the standard deviations of all latents."""
    mean, log_std = codes.posteriors()
    stds = [f"{name}_std" for name in prior.latent_names]
    table = pl.from_numpy(torch.cat([mean, log_std.exp()], 1).numpy(), [*prior.latent_names, *stds])
    return table.insert_column(0, pl.Series("image", names))


def encode_folder(model: TrainedModel, folder: Path) -> tuple[pl.DataFrame, Mapping[str, str]]:
    """The codes of the images below a folder, read as those that the model was trained on.

    Returns:
        Their table, and why an image was left out, by name.
    """
    stream = read_folder(folder, Preprocessing.of_model(model.facts, model.shape))
    images = ImageDataset(folder.name, np.concatenate([*stream.blocks]), stream.shape)
    codes = Codes(*model.encode(images.batch(slice(None))))
    names = [stream.names[k] for k in stream.positions()]
    return codes_table(names, codes, model.vae.prior), stream.left_out


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by the suffix of the file; no name in a CSV is a formula.

    Raises:
        ValueError: If the suffix is another.
    """
    writers = {".csv": _without_formulas(table).write_csv, ".parquet": table.write_parquet}
    if path.suffix not in writers:
        raise ValueError(f"A table must go to a .csv or .parquet file, but is to go to {path}.")
    with atomic_write(path) as file:
        writers[path.suffix](file)


def _without_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """The table with an apostrophe before names that a spreadsheet would take for a formula."""
    is_formula = pl.col("image").str.contains(r"^[=+\-@\t\r]")
    shown = pl.when(is_formula).then("'" + pl.col("image")).otherwise(pl.col("image"))
    return table.with_columns(shown.alias("image"))


def read_codes(path: Path, prior: Prior) -> Float[Tensor, "n latents"]:
    """The means in a table of codes, in the order of the prior's latents.

    Raises:
        ValueError: If it is no such table, or lacks a latent.
    """
    readers = {".csv": pl.read_csv, ".parquet": pl.read_parquet}
    if path.suffix not in readers or not path.is_file():
        raise ValueError(f"codes must be a .csv or .parquet file; got {path}")
    try:
        table = readers[path.suffix](path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} must be a table of codes; it cannot be read: {error}") from None
    names = prior.latent_names
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path} must have a column per latent of the model, {', '.join(names)}; "
            f"it lacks {', '.join(missing)}"
        )
    try:
        return torch.from_numpy(table.select(names).cast(pl.Float32).to_numpy(writable=True))
    except pl.exceptions.PolarsError:
        raise ValueError(f"every code in {path} must be a number; some are not") from None
