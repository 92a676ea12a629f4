"""The codes of images as a table: CSV for spreadsheets, Parquet for everything else."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from isavae.files import atomic_write
from isavae.fit.axes import axis_name
from isavae.metrics import Codes


def codes_table(names: Sequence[str], codes: Codes, subspaces: Sequence[slice]) -> pl.DataFrame:
    """One row per image: its name, then the means and the standard deviations of all latents."""
    assert codes.log_std is not None  # codes of a VAE
    latents = [axis_name(k, j) for k, s in enumerate(subspaces) for j in range(s.start, s.stop)]
    columns: dict[str, Sequence[str] | object] = {"image": list(names)}
    columns |= {name: codes.mean[:, j].numpy() for j, name in enumerate(latents)}
    stds = codes.log_std.exp()
    columns |= {f"{name}_std": stds[:, j].numpy() for j, name in enumerate(latents)}
    return pl.DataFrame(columns)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by the suffix of the file.

    Raises:
        ValueError: If the suffix is another.
    """
    writers = {".csv": table.write_csv, ".parquet": table.write_parquet}
    if path.suffix not in writers:
        raise ValueError(f"A table must go to a .csv or .parquet file, but is to go to {path}.")
    with atomic_write(path) as file:
        writers[path.suffix](file)
