"""A study directory: what it says of its runs, who may write in it, and the request to stop."""

import threading
import time

import pytest

from isavae.cli.command_line import main
from isavae.studies import RunRecord, Study, StudyDirectory
from tests.study_runs import tiny_study

pytestmark = pytest.mark.system


@pytest.fixture
def study():
    return Study.parse(tiny_study().text.replace("seeds: 2", "seeds: 3"))


@pytest.fixture
def directory(tmp_path, study):
    made = StudyDirectory(tmp_path / "s")
    made.initialise(study)
    return made


def test_status_says_how_far_each_run_is(study, directory, capsys):
    done, failed, started, running, *missing = [run.id for run in study.runs]
    for run in (done, failed, started, running):
        directory.run_path(run).mkdir()
    (directory.run_path(done) / "scores.json").write_text("{}")
    directory.give_up(failed, 3, "ValueError: it diverged")
    with directory.lock(running) as held:
        assert held
        states = {run.id: directory.state(run.id) for run in study.runs}
        assert main(["study", "status", str(directory.path)]) == 0
    expected = {done: "done", failed: "failed", started: "started", running: "running"}
    assert states == expected | dict.fromkeys(missing, "missing")
    assert capsys.readouterr().out.splitlines() == [
        "tiny: 6 runs",
        "  done          1",
        "  running       1",
        "  failed        1",
        "  started       1",
        "  missing       2",
        f"{failed} failed 3 times, last with ValueError: it diverged",
    ]
    assert directory.state(running) == "started"


def test_a_study_goes_on_from_its_kept_file_and_not_from_a_damaged_one(directory, study):
    kept = directory.path / "study.yaml"
    assert Study.from_file(kept).text == study.text
    directory.initialise(Study.from_file(kept))
    kept.write_bytes(kept.read_bytes().replace(b"seeds: 3", b"seeds: 2"))
    with pytest.raises(ValueError, match=r"study\.yaml must be as isavae wrote it"):
        directory.initialise(study)
    kept.write_text(study.text)
    directory.initialise(study)


def test_status_of_what_is_no_study_is_a_sentence(tmp_path, capsys):
    assert main(["study", "status", str(tmp_path)]) == 2
    assert "must hold a study.yaml" in capsys.readouterr().err


def test_scores_that_are_no_mapping_and_work_of_another_version_count_for_nothing(study, directory):
    run = study.runs[0].id
    directory.run_path(run).mkdir()
    (directory.run_path(run) / "scores.json").write_text("[]")
    (directory.run_path(run) / "work.json").write_text('{"failed": true, "mood": "bad"}')
    assert (directory.is_done(run), directory.record(run)) == (False, RunRecord())


def test_only_who_may_have_a_run_can_give_it_up(study, directory):
    held, done = study.runs[0].id, study.runs[1].id
    for run in (held, done):
        directory.run_path(run).mkdir()
    with directory.lock(held):
        directory.give_up(held, 1, "no")
    (directory.run_path(done) / "scores.json").write_text("{}")
    directory.give_up(done, 1, "no")
    assert (directory.record(held), directory.record(done)) == (RunRecord(), RunRecord())


def test_a_study_may_gain_runs(directory, study):
    longer = Study.parse(study.text.replace("seeds: 3", "seeds: 4"))
    directory.initialise(longer)
    assert len(directory.study().runs) == 8


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, study):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="a study's directory must be writable"):
        StudyDirectory(tmp_path / "file" / "s").initialise(study)


def test_a_run_can_be_set_aside_twice(study, directory):
    path = directory.run_path(study.runs[0].id)
    for content in "ab":
        path.mkdir()
        (path / "file").write_text(content)
        directory.quarantine(path.name)
    assert {file.read_text() for file in directory.path.glob("corrupt/*/file")} == {"a", "b"}


def test_every_request_to_stop_is_another(directory):
    tokens = {directory.stop_token()}
    for _ in range(2):
        directory.request_stop()
        tokens.add(directory.stop_token())
    assert len(tokens) == 3


def test_stop_returns_when_nobody_works(study, directory, capsys):
    ended = []

    def work():
        with directory.lock(study.runs[-1].id):
            ready.set()
            time.sleep(0.3)
            ended.append(True)

    ready = threading.Event()
    worker = threading.Thread(target=work)
    worker.start()
    ready.wait()
    assert main(["study", "stop", str(directory.path), "--no-wait"]) == 0
    assert not ended
    assert main(["study", "stop", str(directory.path)]) == 0
    assert ended
    worker.join()
    assert capsys.readouterr().out == "tiny: stop requested\ntiny: stopped\n"
