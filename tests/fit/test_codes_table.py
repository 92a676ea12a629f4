"""Tables of codes from anybody: a sentence where they are damaged or claim too much."""

import random

import numpy as np
import polars as pl
import pytest

from isavae.fit.codes_table import codes_table, read_codes, write_table
from isavae.metrics import Codes
from isavae.models import build_prior
from tests.campaign.readers import damaged


def test_a_damaged_parquet_file_is_read_or_refused(tmp_path):
    prior, path = build_prior("2*2"), tmp_path / "codes.parquet"
    write_table(codes_table("abc", Codes(np.eye(3, 2), np.zeros((3, 2))), prior), path)
    content, seeded, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        path.write_bytes(damaged(content, seeded))
        try:
            read_codes(path, prior)
        except ValueError:
            refused += 1
    assert refused > 100


def test_a_parquet_file_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path):
    prior, path = build_prior("2*2"), tmp_path / "codes.parquet"
    rows = pl.select(pl.zeros(20_000_000, dtype=pl.Int8)).to_series()
    pl.DataFrame(dict.fromkeys(prior.latent_names, rows)).write_parquet(path)
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="must have at most"):
        read_codes(path, prior)
