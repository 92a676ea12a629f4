"""A study in object storage: a real S3 protocol on the loopback address, and one in memory."""

import json

import pytest

from isavae.studies import LocalEngine, StudyDirectory, run_study
from isavae.studies.engines import Job, run_job
from isavae.studies.remote import Remote
from tests.study_runs import outcome, start_driver, tiny_study

pytestmark = pytest.mark.system


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    pytest.importorskip("s3fs", reason="needs s3fs: make setup")
    moto = pytest.importorskip("moto.server", reason="needs moto: make setup")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "TMPDIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", None)
    import s3fs

    s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}").mkdir("bucket")
    yield "s3://bucket/study"
    server.stop()


def test_a_study_in_s3_has_the_results_of_a_local_one(tmp_path, bucket):
    study = tiny_study()
    run_study(study, StudyDirectory(tmp_path / "local"), LocalEngine(2))
    driver = start_driver(study, tmp_path / "s", "--out", bucket, "--workers", "2")
    text, _ = driver.communicate()
    assert driver.returncode == 0, text
    remote = Remote(bucket)
    stored = {
        run.id: (
            remote.read(f"runs/{run.id}/model.safetensors"),
            json.loads(remote.read(f"runs/{run.id}/scores.json") or b"{}"),
        )
        for run in study.runs
    }
    assert stored == outcome(tmp_path / "local")
    assert all(remote.read(f"runs/{run.id}/state.pt") is None for run in study.runs)
    mirrored = StudyDirectory.at(bucket)
    assert {mirrored.state(run.id) for run in study.runs} == {"done"}


@pytest.fixture
def job(tmp_path):
    """A run of a study in fsspec's storage in memory."""
    study, remote = tiny_study(200), Remote(f"memory://{tmp_path.name}")
    directory = StudyDirectory(tmp_path / "scratch", remote)
    directory.initialise(study)
    run = study.runs[0]
    return Job(directory, run.id, run.config, images=16, checkpoint_seconds=0.0)


def names(remote, run):
    stored, root = remote._storage
    return sorted(key.split(f"/{run}/")[-1] for key in stored.find(f"{root}/runs/{run}"))


def test_a_remote_run_is_fetched_stored_and_leaves_nothing_here(job):
    remote, asked = job.directory.remote, []

    def stop():
        asked.append(remote.read(f"runs/{job.run}/state.pt"))
        return len(asked) == 100

    assert run_job(job, None, stop).kind == "stopped"
    assert len({state for state in asked if state}) > 1, "checkpoints are stored on the way"
    assert names(remote, job.run) == ["config.json", "log.jsonl", "model.safetensors", "state.pt"]
    assert not list(job.directory.path.glob("runs/*"))
    (job.directory.path / "runs" / job.run).mkdir()
    (job.directory.path / "runs" / job.run / "config.json").write_text("of a worker killed here")
    assert run_job(job, None, lambda: False).kind == "done"
    files = ["config.json", "log.jsonl", "model.safetensors", "scores.json", "work.json"]
    assert names(remote, job.run) == files
    assert not list(job.directory.path.glob("runs/*"))
    log = (remote.read(f"runs/{job.run}/log.jsonl") or b"").decode().splitlines()
    starts = [r["step"] for r in map(json.loads, log) if r.get("event") == "start"]
    assert starts == [0, 100]
    assert run_job(job, lambda *_: pytest.fail("it was done"), lambda: False).kind == "done"


def test_what_is_stored_last_says_that_all_is_stored(job, monkeypatch):
    stored, write = [], Remote.write
    monkeypatch.setattr(
        Remote, "write", lambda self, name, data: stored.append(name) or write(self, name, data)
    )
    assert run_job(job, None, lambda: False).kind == "done"
    assert stored[-1] == f"runs/{job.run}/scores.json"


def test_the_mirror_has_small_files_and_takes_what_changed(job, tmp_path):
    remote = job.directory.remote
    assert run_job(job, None, lambda: False).kind == "done"
    remote.mirror(tmp_path / "here")
    mirrored = {path.name for path in (tmp_path / "here").rglob("*") if path.is_file()}
    assert mirrored == {"study.yaml", "config.json", "work.json", "scores.json"}
    remote.write(f"runs/{job.run}/scores.json", b'{"mig": 0.123456789}')
    remote.mirror(tmp_path / "here")
    scores = tmp_path / "here" / "runs" / job.run / "scores.json"
    assert json.loads(scores.read_text()) == {"mig": 0.123456789}


def test_a_request_to_stop_and_giving_up_reach_the_storage(job):
    remote = job.directory.remote
    directory = StudyDirectory(job.directory.path, remote)
    before = directory.stop_token()
    directory.request_stop()
    assert StudyDirectory(job.directory.path, remote).stop_token() != before
    directory.run_path(job.run).mkdir()
    directory.give_up(job.run, 3, "no")
    assert json.loads(remote.read(f"runs/{job.run}/work.json") or b"{}")["failed"]
    remote.remove("stop")
    remote.remove("stop")
    assert directory.stop_token() == b""
