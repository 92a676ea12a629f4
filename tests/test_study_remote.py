"""A study in object storage: a real S3 protocol, served on the loopback address."""

import json

import pytest

from isavae.studies import StudyDirectory
from isavae.studies.execute import run_study
from isavae.studies.local import LocalEngine
from isavae.studies.remote import Remote
from tests.study_runs import outcome, start_driver, tiny_study

pytest.importorskip("s3fs")
server_module = pytest.importorskip("moto.server")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
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
    run_study(study, StudyDirectory(tmp_path / "local"), LocalEngine(2), threads=1)
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
