"""The line that shows the progress of a study or a run in Python."""

import io

import pytest

from isavae import progress_line
from isavae.data import load
from isavae.progress_line import ProgressLine
from isavae.runs import Run, RunConfig, execute
from isavae.studies import StudyProgress
from isavae.studies.driver import describe

CONFIG = RunConfig(data="dsprites16[shape=heart, scale=0]", width=8, batch_size=16, steps=4)
DATA = load(CONFIG.data)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class OfNotebook(io.StringIO):
    __module__ = "ipykernel.iostream"


KINDS = pytest.mark.parametrize("kind", [Terminal, OfNotebook])


def screen_of(kind, monkeypatch):
    """The standard error from now on: not in a fixture, after which pytest puts its own there."""
    monkeypatch.setattr("sys.stderr", screen := kind())
    monkeypatch.setattr(progress_line, "SECONDS", 0)
    return screen


@KINDS
def test_one_line_ends_with_the_block(kind, monkeypatch):
    screen = screen_of(kind, monkeypatch)
    with ProgressLine() as line:
        line("0 of 2")
        assert screen.getvalue().startswith("\r0 of 2 ")
        assert "\n" not in screen.getvalue()
        line("2 of 2")
    assert screen.getvalue().split("\r")[-1].rstrip(" \n") == "2 of 2"
    assert screen.getvalue().count("\n") == 1


@KINDS
def test_a_fast_ending_is_shown_and_an_error_ends_the_line(kind, monkeypatch):
    screen = screen_of(kind, monkeypatch)
    monkeypatch.setattr(progress_line, "SECONDS", 60)
    with pytest.raises(KeyError), ProgressLine() as line:
        line("first")
        line("last")
        raise KeyError
    assert screen.getvalue().endswith("last" + " " * 56 + "\n")


@pytest.mark.parametrize("elsewhere", [io.StringIO(), None])
def test_elsewhere_there_is_none(elsewhere, monkeypatch):
    monkeypatch.setattr("sys.stderr", elsewhere)
    with ProgressLine() as line:
        line("first")
    assert elsewhere is None or elsewhere.getvalue() == ""


def test_a_study_says_its_share_and_the_time_left():
    progress = StudyProgress(total=2, running={"a": (5, 10), "b": (0, 10)})
    assert describe(progress).startswith("0 of 2 runs done, 25 %, about ")


@KINDS
def test_a_run_shows_its_steps_unless_they_are_shown_otherwise(kind, monkeypatch, tmp_path):
    screen = screen_of(kind, monkeypatch)
    run = Run.create(tmp_path / "run", CONFIG)
    assert not execute(run, DATA, should_stop=lambda: True)
    assert screen.getvalue().startswith("\rstep 1 of 4, 25 %, about ")
    screen = screen_of(kind, monkeypatch)
    assert execute(run, DATA)
    assert screen.getvalue().split("\r")[-1].rstrip(" \n") == "step 4 of 4, 100 %"
    assert screen.getvalue().count("\n") == 1
    screen = screen_of(kind, monkeypatch)
    assert execute(Run.create(tmp_path / "other", CONFIG), DATA, on_step=lambda *_: None)
    assert screen.getvalue() == ""
