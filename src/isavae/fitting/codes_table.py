"""The codes of images as a table: CSV for spreadsheets, Parquet for everything else."""

import os
import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import ImageDataset, load, read_folder
from isavae.data.catalog import parse_options, split_path
from isavae.data.own.arrays import read_array
from isavae.data.own.decoding import DEFAULT_FIT
from isavae.data.own.image_file import is_image_file
from isavae.data.own.image_listing import describe_others
from isavae.data.own.open import images_like
from isavae.data.own.table_process import read_in_process
from isavae.data.safe_reading import DENSEST, RefusedFileError
from isavae.errors import in_line
from isavae.evaluation import encode_all
from isavae.files import atomic_write
from isavae.fitting.training_images import Source
from isavae.metrics import Codes
from isavae.runs import TrainedModel
from isavae.runs.latent_names import STD

# How a cell begins that a spreadsheet takes for a formula.
FORMULA = r"^[=+\-@\t\r]"


def codes_table(names: Sequence[str], codes: Codes, latents: Sequence[str]) -> pl.DataFrame:
    """One row per image: its name, then the means and the standard deviations of all latents."""
    mean, log_std = codes.posteriors()
    columns = [*latents, *(f"{name}{STD}" for name in latents)]
    table = pl.from_numpy(torch.cat([mean, log_std.exp()], 1).numpy(), columns)
    return table.insert_column(0, pl.Series("image", names))


def encode_images(model: TrainedModel, source: Source) -> tuple[pl.DataFrame, list[str]]:
    """The codes of images, read as those that the model was trained on.

    Args:
        model: The model.
        source: A folder of images, an image, an array file with its options in brackets, the name
            of a data set, or images; of another size they are resized as image files are.

    Returns:
        Their table, with one row per image in order, and what was left out or changed.

    Raises:
        ValueError: If the images cannot be read so.
    """
    how = model.preprocessing
    if not isinstance(source, (str, os.PathLike)):
        found = images_like(source, how)
        return _table_of(model, found, map(str, range(len(found)))), [*found.notes]
    name, options = split_path(os.fspath(source))
    path = Path(name)
    if not os.path.exists(name):
        return encode_images(model, load(os.fspath(source)))
    if path.is_dir() or is_image_file(path):
        if options:
            raise ValueError(
                f"Images are read as those that the model was trained on, but [{options}] is given "
                f"after {path}: omit it."
            )
        files = None if path.is_dir() else [str(path)]
        stream = read_folder(path if files is None else path.parent, how, files)
    else:
        given, choices = parse_options(options)
        if unknown := {*given, *choices} - {"axes", "key"}:
            raise ValueError(
                f"An array is encoded with the options axes and key, but {min(unknown)} is given "
                f"after {path}: omit it."
            )
        stream, _ = read_array(
            path, **given, values=how.values, size=how.size, fit=how.fit or DEFAULT_FIT
        )
    images = ImageDataset.from_stored(path.name, np.concatenate([*stream.blocks]), stream.shape)
    notes = [f"left out: {in_line(name)}: {why}" for name, why in stream.left_out.items()]
    every = stream.names or [str(k) for k in range(stream.count)]
    table = _table_of(model, images, [every[k] for k in stream.positions()])
    others = describe_others(path) if path.is_dir() else []
    return table, notes + stream.changes() + others


def _table_of(model: TrainedModel, images: ImageDataset, names: Iterable[str]) -> pl.DataFrame:
    if images.shape[0] != model.shape[0]:
        raise ValueError(
            f"Images must have the channels of those that the model was trained on, "
            f"{model.shape[0]}, but have {images.shape[0]}: convert them."
        )
    return codes_table([*names], encode_all(model.vae, images), model.names)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by the suffix of the file; no name in a CSV is a formula.

    Raises:
        ValueError: If the suffix is another.
    """
    writers = {".csv": _without_formulas(table).write_csv, ".parquet": table.write_parquet}
    if path.suffix not in writers:
        raise ValueError(f"A table must go to a .csv or .parquet file, but is to go to {path}.")
    data = BytesIO()  # polars reports a full disk as an error of its own
    writers[path.suffix](data)
    with atomic_write(path) as file:
        file.write(data.getbuffer())


def _without_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """The table with an apostrophe before names that a spreadsheet would take for a formula."""
    is_formula = pl.col("image").str.contains(FORMULA)
    shown = pl.when(is_formula).then("'" + pl.col("image")).otherwise(pl.col("image"))
    return table.with_columns(shown.alias("image")).rename(_heading)


def _heading(name: str) -> str:
    """The name of a column as a CSV file has it."""
    return f"'{name}" if re.match(FORMULA, name) else name


def _read_csv(path: Path) -> pl.DataFrame:
    """The table in a CSV file; polars leaves quotation marks in its heading doubled."""
    return pl.scan_csv(
        path, with_column_names=lambda names: [name.replace('""', '"') for name in names]
    ).collect()


def read_codes(path: Path, latents: Sequence[str]) -> Float[Tensor, "n latents"]:
    """The means in a table of codes, in the order of a model's latents.

    Args:
        path: A .csv or .parquet file.
        latents: The name of every latent, `TrainedModel.names`; a column may also have that by
            number, "z5".

    Raises:
        ValueError: If it is no such table, or lacks a latent.
    """
    if path.suffix not in (".csv", ".parquet") or not path.is_file():
        raise ValueError(f"codes must be a .csv or .parquet file; got {path}")
    try:
        if path.suffix == ".csv":
            table = _read_csv(path)
        else:
            cells = DENSEST * path.stat().st_size // 4
            table = read_in_process(path, "parquet", most_rows=cells, most_cells=cells)
    except RefusedFileError:
        raise
    # The last is how polars reports some damage; it is no Exception.
    except (ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{path} must be a table of codes; it cannot be read: {error}") from None
    there = {*table.columns}
    named = [(name, _heading(name), f"z{k}") for k, name in enumerate(latents, 1)]
    names = [next((name for name in each if name in there), each[0]) for each in named]
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(
            f"{path} must have a column per latent of the model, {', '.join(names)}; "
            f"it lacks {', '.join(missing)}"
        )
    try:
        codes = torch.from_numpy(table.select(names).cast(pl.Float32).to_numpy(writable=True))
    except pl.exceptions.PolarsError:
        raise ValueError(f"every code in {path} must be a number; some are not") from None
    if not codes.isfinite().all():
        raise ValueError(f"every code in {path} must be a finite number; some are not")
    return codes
