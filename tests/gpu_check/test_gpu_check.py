"""`isavae gpu-check` with the tiny settings of a CPU: parts, stops, resuming, its two files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isavae.files import read_json
from isavae.gpu_check import GpuCheck, check
from isavae.gpu_check.marked_tests import run_marked_tests
from isavae.gpu_check.table_runs import strength, table_study
from isavae.studies import Study

pytestmark = pytest.mark.system


@pytest.fixture
def started(tmp_path, monkeypatch) -> GpuCheck:
    """A check whose tests are left out and that has been measured."""
    monkeypatch.setattr(check, "run_marked_tests", lambda seconds: {"passed": 3})
    started = GpuCheck(tmp_path / "out", "cpu")
    started.measure(1.0)
    return started


def finished(of: GpuCheck) -> list[dict]:
    return read_json(of.path).get("runs", {}).get("finished", [])


def test_parts_are_kept_and_a_stopped_check_goes_on(started, monkeypatch):
    kept = read_json(started.path)
    assert kept["tests"] == {"passed": 3}
    assert kept["steps"][0]["step"] > kept["steps"][0]["products"] > 0
    assert [each["processes"] for each in kept["at_once"]] == [1, 2]
    assert all(each["steps_per_second"] > 0 for each in kept["at_once"])
    started.run(600.0, should_stop=lambda: len(finished(started)) >= 2)
    first = finished(started)

    monkeypatch.setattr(check, "time_step", None)
    monkeypatch.setattr(check, "steps_per_second", None)
    again = GpuCheck(started.folder, "cpu")
    again.measure(1.0)
    again.run(600.0, should_stop=lambda: len(finished(started)) > len(first))
    rows = finished(started)
    assert len(rows) > len(first) >= 2
    assert all(row in rows for row in first)
    # In the order of the study; a run may overtake the one that runs beside it.
    planned = [run.id for run in table_study("smoke", "cpu", 1).runs]
    assert {row["run"] for row in rows} <= set(planned[: len(rows) + 1])
    assert {row["beta"] for row in rows} == {1}
    runs = started.folder / "runs" / "runs"
    assert not [row for row in rows if (runs / row["run"] / "model.safetensors").exists()]
    assert read_json(started.path)["runs"]["per_hour"] > 0
    page = started.path.with_suffix(".md").read_text()
    assert "3 passed" in page
    assert "| isa-vae | 1 | 1 |" in page
    assert "tiny" in page


def test_a_check_of_another_machine_is_refused(started, monkeypatch):
    monkeypatch.setattr("torch.__version__", "1.0")
    with pytest.raises(ValueError, match=r"goes on with the device and versions.*--out"):
        GpuCheck(started.folder, "cpu")


def test_too_many_at_once_end_the_trials(tmp_path, monkeypatch):
    def rate(config, processes, threads, seconds):
        if processes > 1:
            raise RuntimeError("out of memory\nof the device")
        return 10.0

    monkeypatch.setattr(check, "steps_per_second", rate)
    tried = GpuCheck(tmp_path, "cpu")
    for processes in (1, 2, 4):
        tried._try_at_once(processes)
    assert tried.parts["at_once"] == [
        {"processes": 1, "steps_per_second": 10.0},
        {"processes": 2, "error": "out of memory"},
    ]
    assert tried.fastest() == 1


def test_more_at_once_must_pay(tmp_path):
    rates = {1: 10.0, 2: 15.0, 4: 15.1}
    tried = GpuCheck(tmp_path, "cpu")
    tried.parts["at_once"] = [
        {"processes": n, "steps_per_second": rate} for n, rate in rates.items()
    ]
    assert tried.fastest() == 2


def test_runs_begin_with_beta_1_and_the_models_in_turn():
    assert check.FULL.study == "table1"
    runs = table_study("small", "cuda", 2).runs  # table1 with fewer seeds and values of beta
    assert len(runs) == len(Study.from_file("small").runs)
    first = [(strength(r.config), r.config.seed, r.config.objective.name) for r in runs[:6]]
    assert [seed for _, seed, _ in first] == [0, 0, 0, 0, 0, 1]
    assert {beta for beta, _, _ in first} == {1.0}
    assert len({(r.config.prior, r.config.objective.name) for r in runs[:5]}) == 5
    assert {r.config.device for r in runs} == {"cuda"}


MARKED = """
import pytest

@pytest.mark.gpu
def test_right(): pass

@pytest.mark.gpu
def test_wrong(): assert 1 == 2

def test_others(): assert False
"""


def test_marked_tests_are_counted_and_failures_shown(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['gpu: x']\n")
    (tmp_path / "tests" / "test_it.py").write_text(MARKED)
    found = run_marked_tests(60.0, tmp_path)
    assert found["passed"] == found["failed"] == found["exit_code"] == 1
    assert any("test_wrong" in line for line in found["output"])


def test_tests_that_are_not_there_are_left_out(tmp_path):
    assert "no checkout" in run_marked_tests(60.0, tmp_path)["left_out"]


def test_the_tests_of_the_package_are_found():
    found = run_marked_tests(300.0)
    assert "output" not in found
    assert sum(found.get(kind, 0) for kind in ("passed", "skipped")) >= 20


@pytest.mark.slow
def test_a_command_that_is_stopped_leaves_what_is_finished(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "isavae", "gpu-check", "--device", "cpu", "--out", str(out)]
    source = str(Path(check.__file__).parents[2])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": source}
    )
    kept = out / "gpu-check.json"
    while process.poll() is None:
        if kept.exists() and read_json(kept).get("runs", {}).get("finished"):
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.1)
    shown, _ = process.communicate()
    assert process.returncode == 130
    assert read_json(kept)["runs"]["finished"]
    assert "# Check of a GPU" in shown
