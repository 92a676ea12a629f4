"""Data sets of studies: drawn once per machine, whoever asks, and the same from then on."""

import threading
import time

import numpy as np
import pytest

from isavae.data import load
from isavae.data.drawn import sprites
from isavae.studies.shared_data import open_shared
from tests.study_runs import DATA

pytestmark = pytest.mark.system


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A note of every drawing, which takes a while."""
    notes, draw = [], sprites.draw

    def noted(*arguments):
        notes.append(arguments)
        time.sleep(0.2)
        yield from draw(*arguments)

    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sprites, "draw", noted)
    return notes


def test_who_asks_at_once_waits_for_one_drawing_and_all_have_the_same(drawn):
    found = []
    threads = [threading.Thread(target=lambda: found.append(open_shared(DATA))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 1
    expected = load(DATA)
    for data in found:
        assert (data.name, data.shape, data.grid) == (DATA, expected.shape, expected.grid)
        assert np.array_equal(data.stored, expected.stored)


def test_another_version_draws_anew(drawn, monkeypatch):
    open_shared(DATA)
    monkeypatch.setattr("isavae.__version__", "another")
    open_shared(DATA)
    assert len(drawn) == 2
