"""Tables of codes from anybody: a sentence where they are damaged or claim too much."""

import random

import numpy as np
import polars as pl
import pytest

from isavae.fitting.codes_table import codes_table, read_codes, write_table
from isavae.metrics import Codes
from tests.campaign.readers import damaged


def test_a_damaged_parquet_file_is_read_or_refused(tmp_path):
    latents, path = ["z1", "z2"], tmp_path / "codes.parquet"
    write_table(codes_table("abc", Codes(np.eye(3, 2), np.zeros((3, 2))), latents), path)
    content, seeded, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(20):  # a process each; the campaign reads hundreds
        path.write_bytes(damaged(content, seeded))
        try:
            read_codes(path, latents)
        except ValueError:
            refused += 1
    assert refused > 5


def test_a_parquet_file_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path):
    latents, path = ["z1", "z2"], tmp_path / "codes.parquet"
    rows = pl.select(pl.zeros(20_000_000, dtype=pl.Int8)).to_series()
    pl.DataFrame(dict.fromkeys(latents, rows)).write_parquet(path)
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="must have at most"):
        read_codes(path, latents)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_of_latents_are_columns_that_are_no_formulas_and_are_read_back(tmp_path, suffix):
    latents, path = ["=1+1", 'a "b", c', "z3"], tmp_path / f"codes.{suffix}"
    mean = np.arange(6.0).reshape(2, 3)
    write_table(codes_table("ab", Codes(mean, np.zeros((2, 3))), latents), path)
    if suffix == "csv":
        heading = path.read_text().splitlines()[0]
        assert heading.startswith("""image,'=1+1,"a ""b"", c",z3,'=1+1_std,""")
    np.testing.assert_allclose(read_codes(path, latents), mean)
    # Also by a model whose latents were called otherwise when the table was written.
    numbered = tmp_path / f"numbered.{suffix}"
    write_table(codes_table("ab", Codes(mean, np.zeros((2, 3))), ["z1", "z2", "z3"]), numbered)
    np.testing.assert_allclose(read_codes(numbered, latents), mean)


@pytest.mark.parametrize("wrong", ["nan", "inf", "-inf", "1e400"])
def test_codes_that_are_no_finite_numbers_are_refused(tmp_path, wrong):
    path = tmp_path / "codes.csv"
    path.write_text(f"z1,z2\n1,2\n3,{wrong}\n")
    with pytest.raises(ValueError, match="must be a finite number"):
        read_codes(path, ["z1", "z2"])
