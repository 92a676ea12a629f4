"""Studies on this machine: whatever is killed, the results are those of the undisturbed study."""

import json
import os
import random
import signal
import time

import polars as pl
import pytest

from isavae.cli.command_line import main
from isavae.studies import LocalEngine, Study, StudyDirectory, results, run_study
from tests.study_runs import (
    check_tidy,
    children_called,
    kill,
    note_drawings,
    outcome,
    small_disk,
    start_driver,
    tiny_study,
    wait_for,
    workers_of,
)

pytestmark = pytest.mark.system

ROUNDS = 10
LONG = 400  # steps that give a kill time to come


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    """Data parts are kept in a folder of the tests' own, which the fork server must know early."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISAVAE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of the study that nobody disturbs, by number of steps."""
    known: dict[int, dict] = {}

    def of(steps: int) -> dict:
        if steps not in known:
            root = tmp_path_factory.mktemp("undisturbed") / "study"
            drive(root, steps)
            known[steps] = outcome(root)
        return known[steps]

    return of


def drive(root, steps=60, workers=2, extra="", **options):
    study = tiny_study(steps, extra)
    engine = LocalEngine(workers)
    return run_study(study, StudyDirectory(root), engine, **options)


def test_a_study_runs_once_and_is_skipped_afterwards(tmp_path, undisturbed):
    seen = []
    progress = drive(tmp_path / "s", on_change=lambda t: seen.append((t.done, len(t.running))))
    assert (progress.done, progress.failed, progress.left) == (4, {}, 0)
    assert max(running for _, running in seen) == 2
    check_tidy(tmp_path / "s", tiny_study())
    assert outcome(tmp_path / "s") == undisturbed(60)
    table = results(tmp_path / "s")
    assert table["status"].to_list() == ["done"] * 4
    assert table["steps"].to_list() == [60] * 4
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").glob("runs/*/*")}
    again = drive(tmp_path / "s")
    assert (again.done, again.finished_here) == (4, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").glob("runs/*/*")} == before


def test_the_command_line_runs_smoke(tmp_path, capsys):
    assert main(["study", "run", "smoke", "--out", str(tmp_path / "s"), "--workers", "2"]) == 0
    assert "20 of 20 runs done, 0 failed" in capsys.readouterr().out
    check_tidy(tmp_path / "s", Study.from_file("smoke"))


def test_a_data_set_is_drawn_once_for_all_runs(tmp_path, monkeypatch):
    environment, notes = note_drawings(tmp_path)
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    driver = start_driver(tiny_study(10), tmp_path / "s", "--workers", "2")
    text, _ = driver.communicate()
    assert driver.returncode == 0, text
    assert notes.read_text() == "drawn\n"


def test_an_interrupt_while_the_server_loads_torch_leaves_no_traceback(tmp_path):
    driver = start_driver(tiny_study(LONG), tmp_path / "s", "--workers", "2", new_session=True)
    wait_for(lambda: children_called(driver.pid, "forkserver") or driver.poll() is not None)
    time.sleep(0.2)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the driver and to the server
    text, _ = driver.communicate()
    assert (driver.returncode, "Traceback" in text) == (130, False), text
    assert not list((tmp_path / "s").glob("runs/*/scores.json"))


@pytest.mark.slow  # `tests.campaign.kills` kills workers, too
def test_a_killed_worker_disturbs_no_other_and_its_run_goes_on(tmp_path, undisturbed):
    killed = []
    engine = LocalEngine(2)

    def kill_one(progress):
        started = [run for run, (step, _) in progress.running.items() if step >= 100]
        if started and not killed:
            killed.append(started[0])
            kill({run: process.pid for run, process in engine._running.values()}[started[0]])

    study = tiny_study(LONG)
    progress = run_study(
        study,
        StudyDirectory(tmp_path / "s"),
        engine,
        on_change=kill_one,
        checkpoint_seconds=0.01,
    )
    assert killed
    assert progress.failed == {}
    check_tidy(tmp_path / "s", study)
    assert outcome(tmp_path / "s") == undisturbed(LONG)
    log = (tmp_path / "s" / "runs" / killed[0] / "log.jsonl").read_text().splitlines()
    starts = [r["step"] for r in map(json.loads, log) if r.get("event") == "start"]
    assert starts[-1] > 0, "the second attempt must go on from a checkpoint"


def disturbed_round(root, chance: random.Random):
    """Kill the driver or a worker at a random moment; start again until nothing is left."""
    study = tiny_study(LONG)
    for victim in chance.sample(["driver", "worker"], 2):
        driver = start_driver(study, root, "--workers", "2")
        wait_for(lambda d=driver: workers_of(d.pid) or d.poll() is not None)
        time.sleep(chance.uniform(0, 2.0))
        workers = workers_of(driver.pid)
        kill(driver.pid if victim == "driver" or not workers else chance.choice(workers))
        if victim == "worker":
            driver.send_signal(signal.SIGTERM)
        driver.communicate()
    last = start_driver(study, root, "--workers", "2")
    text, _ = last.communicate()
    assert last.returncode == 0, text
    check_tidy(root, study)


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(tmp_path, undisturbed):
    disturbed_round(tmp_path / "s", random.Random(1))
    assert outcome(tmp_path / "s") == undisturbed(LONG)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_ten_rounds_of_kills_change_nothing(tmp_path, undisturbed, seed):
    disturbed_round(tmp_path / "s", random.Random(seed))
    assert outcome(tmp_path / "s") == undisturbed(LONG)


def test_two_drivers_share_a_study_and_do_no_run_twice(tmp_path, undisturbed):
    study = tiny_study(LONG)
    drivers = [start_driver(study, tmp_path / "s", "--workers", "2") for _ in range(2)]
    texts = [driver.communicate()[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], texts
    check_tidy(tmp_path / "s", study)
    assert outcome(tmp_path / "s") == undisturbed(LONG)
    for log in (tmp_path / "s").glob("runs/*/log.jsonl"):
        records = [json.loads(line) for line in log.read_text().splitlines()]
        assert [r["step"] for r in records if r.get("event") == "start"] == [0]


def test_stop_checkpoints_and_the_next_call_goes_on(tmp_path, undisturbed):
    root = tmp_path / "s"

    def stop_in_the_middle(progress):
        if any(step >= 100 for step, _ in progress.running.values()):
            StudyDirectory(root).request_stop()

    progress = drive(root, LONG, on_change=stop_in_the_middle)
    assert progress.stopped
    assert progress.done < 4
    assert list(root.glob("runs/*/state.pt"))
    assert not drive(root, LONG).stopped
    assert outcome(root) == undisturbed(LONG)


def test_what_keeps_failing_is_recorded_and_the_study_goes_on(tmp_path):
    extra = "retries: 1\n"
    broken = (
        tiny_study()
        .text.replace("seeds: 2", "seeds: 1")
        .replace("runs:", "runs:\n- {learning_rate: 1.0e+30}")
    )
    root = tmp_path / "s"
    study = type(tiny_study()).parse(broken + extra)
    progress = run_study(study, StudyDirectory(root), LocalEngine(2))
    assert (progress.done, len(progress.failed)) == (2, 1)
    [(run, error)] = progress.failed.items()
    assert "must be finite" in error
    work = StudyDirectory(root).record(run)
    assert (work.failed, work.attempts) == (True, 2)
    row = results(root).row(by_predicate=pl.col("run") == run, named=True)
    assert (row["status"], row["mig"]) == ("failed", None)
    assert "must be finite" in row["error"]
    again = run_study(study, StudyDirectory(root), LocalEngine(2))
    assert (again.done, len(again.failed), again.finished_here) == (2, 1, 0)


@pytest.mark.parametrize("damage", ["config", "state", "scores", "weights", "file"])
def test_a_corrupt_run_directory_is_set_aside_or_mended(tmp_path, undisturbed, damage):
    root = tmp_path / "s"
    study = tiny_study()
    victim = StudyDirectory(root).run_path(study.runs[0].id)
    drive(root)
    if damage == "config":
        (victim / "config.json").write_text("{")
        (victim / "scores.json").unlink()
    elif damage == "state":
        (victim / "scores.json").unlink()
        (victim / "model.safetensors").unlink()
        (victim / "state.pt").write_bytes(b"no checkpoint")
    elif damage == "scores":
        (victim / "scores.json").write_text('{"mig": 0.')
    elif damage == "weights":
        (victim / "scores.json").unlink()
        (victim / "model.safetensors").write_bytes(b"\x00" * 100)
    else:
        os.rename(victim, root / "elsewhere")
        victim.write_text("a file where a directory should be")
    assert drive(root).done == 4
    assert outcome(root) == undisturbed(60)


@pytest.mark.slow  # `tests.campaign.full` fills disks, too
def test_a_full_disk_ends_the_study_with_a_sentence_and_it_goes_on_later(tmp_path, undisturbed):
    disk = tmp_path / "disk"
    with small_disk(disk, "300k") as resize:
        driver = start_driver(tiny_study(), disk / "s", "--workers", "2")
        text, _ = driver.communicate()
        assert driver.returncode == 2, text
        assert "it is full: free some" in text
        resize("20m")
        drive(disk / "s")
        check_tidy(disk / "s", tiny_study())
        assert outcome(disk / "s") == undisturbed(60)


def test_a_driver_initialises_what_another_has_just_begun_to_initialise(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".isavae-x1y2~").write_text("half writ")
    StudyDirectory(tmp_path / "s").initialise(tiny_study())
    assert StudyDirectory(tmp_path / "s").study().name == "tiny"


def test_a_directory_belongs_to_one_study(tmp_path):
    StudyDirectory(tmp_path / "s").initialise(tiny_study())
    other = type(tiny_study()).parse(tiny_study().text.replace("name: tiny", "name: other"))
    with pytest.raises(ValueError, match="belongs to 'tiny'"):
        StudyDirectory(tmp_path / "s").initialise(other)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="new or empty directory"):
        StudyDirectory(tmp_path / "full").initialise(other)


def test_a_study_needs_a_worker():
    with pytest.raises(ValueError, match="at least one worker; got 0"):
        LocalEngine(0)
