"""The line that shows the progress of a study in Python."""

import io

import pytest

from isavae.studies import StudyProgress, progress_line
from isavae.studies.progress_line import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


class OfNotebook(io.StringIO):
    __module__ = "ipykernel.iostream"


@pytest.mark.parametrize("kind", [Terminal, OfNotebook])
def test_one_line_ends_with_the_study(kind, monkeypatch):
    screen = kind()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(progress_line, "SECONDS", 0)
    line, progress = ProgressLine(), StudyProgress(total=2, running={"a": (5, 10), "b": (0, 10)})
    line(progress)
    assert screen.getvalue().startswith("\r0 of 2 runs done, 25 %, about ")
    assert "\n" not in screen.getvalue()
    progress.running, progress.done = {}, 2
    line(progress)
    lines = screen.getvalue().split("\r")
    assert lines[-1].rstrip(" \n") == "2 of 2 runs done, 100 %"
    assert screen.getvalue().count("\n") == 1


def test_a_stopped_study_ends_its_line_and_a_pipe_gets_none(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    ProgressLine()(StudyProgress(total=2, stopped=True))
    assert screen.getvalue().endswith("\n")
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    ProgressLine()(StudyProgress(total=2, stopped=True))
    assert pipe.getvalue() == ""
    monkeypatch.setattr("sys.stderr", None)
    ProgressLine()(StudyProgress(total=2))
