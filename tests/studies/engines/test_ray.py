"""Studies on Ray: the results of local processes, and a run has what the study file asks for."""

import json
import re
import signal
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from isavae.cli.command_line import main
from isavae.runs import RunConfig
from isavae.studies import LocalEngine, Resources, Study, StudyDirectory, run_study
from isavae.studies.engines import Job, Outcome
from tests.study_runs import check_tidy, note_drawings, outcome, quiet_ray, tiny_study

pytestmark = pytest.mark.system

ray = pytest.importorskip("ray", reason="needs ray: make setup")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where the node, unlike the driver, keeps its data sets."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """The environment in which the node's processes note what they draw, and where they do."""
    return note_drawings(tmp_path_factory.mktemp("drawings"))


@pytest.fixture(scope="module")
def node(tmp_path_factory, cache, drawings):
    """The address of a node with 2 CPUs, a GPU that is only said to be there, and 1 GB."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.getbasetemp()
        for name, value in (quiet_ray(base, cache) | drawings[0]).items():
            patch.setenv(name, value)
        head = {
            "num_cpus": 2,
            "num_gpus": 1,
            "memory": 10**9,
            "object_store_memory": 80 * 2**20,
            "include_dashboard": False,
            "node_ip_address": "127.0.0.2",
        }
        with warnings.catch_warnings():
            # Older releases of Ray (2.51 still) leave files of their own open here.
            warnings.simplefilter("ignore", ResourceWarning)
            nodes = Cluster(initialize_head=True, head_node_args=head)
            ray.init(nodes.address, log_to_driver=False)
        yield nodes.address
        ray.shutdown()
        nodes.shutdown()


def run_on(node: str, study: Study, out: Path) -> int:
    """`isavae study run` in this process, which Ray's start has been paid for."""
    file = out.with_suffix(".yaml")
    file.write_text(study.text)
    return main(
        ["study", "run", str(file), "--out", str(out), "--engine", "ray", "--address", node]
    )


@pytest.mark.parametrize("cpus", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ray_has_the_results_of_local_processes(tmp_path, node, cpus, cache, drawings, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "of the driver"))
    study = Study.parse(tiny_study(10).text.replace("cpus: 1", f"cpus: {cpus}"))
    run_study(study, StudyDirectory(tmp_path / "local"), LocalEngine(1))
    for kept in [drawings[1], *cache.glob("part-*.images")]:
        kept.unlink(missing_ok=True)
    assert run_on(node, study, tmp_path / "s") == 0
    assert drawings[1].read_text() == "drawn\n", "once for all runs on a node"
    check_tidy(tmp_path / "s", study)
    assert outcome(tmp_path / "s") == outcome(tmp_path / "local")
    directory = StudyDirectory(tmp_path / "s")
    assert {directory.record(run.id).threads for run in study.runs} == {cpus}


@pytest.mark.slow
def test_smoke_on_ray_has_the_results_of_local_processes(tmp_path, node):
    values = yaml.safe_load(Study.from_file("smoke").text)
    values["settings"]["precision"] = "float32"
    study = Study.parse(yaml.safe_dump(values))
    run_study(study, StudyDirectory(tmp_path / "local"), LocalEngine(2))
    assert run_on(node, study, tmp_path / "s") == 0
    check_tidy(tmp_path / "s", study)
    assert outcome(tmp_path / "s") == outcome(tmp_path / "local")


def meet(folder: Path, seconds: float):
    """A task that tells what Ray gave it, and how many there were at once."""

    def task(job: Job, lease: object) -> Outcome:
        given = ray.get_runtime_context().get_assigned_resources()
        mine = folder / job.run
        mine.touch()
        deadline = time.monotonic() + seconds
        while (met := len(list(folder.iterdir()))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)  # so that the other sees this one too
        mine.unlink()
        return Outcome("failed", json.dumps([given, met]))

    return ray.remote(task)


@pytest.mark.parametrize(
    ("asked", "at_once"),
    [
        (Resources(cpus=1, gpus=0.5, memory=10**8), 2),
        pytest.param(Resources(cpus=1, gpus=0.6), 1, marks=pytest.mark.slow),
        pytest.param(Resources(cpus=1, memory=6 * 10**8), 1, marks=pytest.mark.slow),
        pytest.param(Resources(cpus=2), 1, marks=pytest.mark.slow),
    ],
)
def test_what_a_run_asks_for_reaches_ray(tmp_path, node, asked, at_once):
    from isavae.studies import RayEngine

    engine = RayEngine(asked, str(tmp_path))
    (tmp_path / "here").mkdir()
    engine._task = meet(tmp_path / "here", 60.0 if at_once == 2 else 0.5)
    for run in "ab":
        engine.start(Job(StudyDirectory(tmp_path), run, RunConfig()))
    ended = []
    while len(ended) < 2:
        ended += engine.wait(60.0)
    expected = {"CPU": asked.cpus, "GPU": asked.gpus, "memory": asked.memory}
    expected = {name: amount for name, amount in expected.items() if amount}
    for event in ended:
        assert json.loads(event.outcome.error) == [expected, at_once]


@pytest.mark.parametrize("asked", ["cpus: 3", "gpus: 1.5", "gpus: 2", "memory: 2GB"])
def test_a_request_that_no_node_can_meet_is_refused(tmp_path, node, capsys, asked):
    study = Study.parse(tiny_study(5).text.replace("cpus: 1", asked))
    assert run_on(node, study, tmp_path / "s") == 2
    assert "a node of the cluster must have what a run asks for" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["path", "url"])
def test_a_lease_lasts_from_creation_to_revocation_and_belongs_to_one_driver(tmp_path, kind):
    from isavae.studies.engines.ray import DriverLease

    (tmp_path / "locks").mkdir()
    place = str(tmp_path) if kind == "path" else f"memory://{tmp_path.name}"
    mine, other = DriverLease(place, "mine"), DriverLease(place, "other")
    mine.create()
    other.create()
    assert (mine.is_revoked(), other.is_revoked()) == (False, False)
    mine.revoke()
    mine.revoke()
    assert (mine.is_revoked(), other.is_revoked()) == (True, False)


def test_a_throttled_condition_is_evaluated_once_a_second_until_it_holds(monkeypatch):
    from isavae.studies.engines import ray as cluster

    asked, now, answer = [], [0.0], [False]
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: now[0]))
    ask = cluster.throttled(lambda: asked.append(now[0]) or answer[0])
    for now[0], answer[0], expected in (
        (0.5, True, False),
        (1.5, False, False),
        (2.0, True, False),
        (3.0, True, True),
        (9.0, False, True),
    ):
        assert ask() is expected
    assert asked == [1.5, 3.0]


def test_what_ray_gives_up_has_failed_in_a_line(monkeypatch):
    from isavae.studies.engines import ray as cluster

    def get(task):
        raise ray.exceptions.WorkerCrashedError()

    monkeypatch.setattr(cluster.ray, "get", get)
    outcome = cluster._outcome(None)
    assert outcome.kind == "failed"
    assert re.fullmatch(r"WorkerCrashedError: .*\S", outcome.error)


def test_sigterm_does_while_ray_starts_what_it_did_before(monkeypatch):
    from isavae.studies import RayEngine

    def init(*_, **__):
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        RayEngine(Resources(), "nowhere")
    assert signal.getsignal(signal.SIGTERM) is before


def test_where_ray_does_not_start_there_is_a_sentence(tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise Exception("The current node timed out during startup.\nThis could happen ...")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    file = tmp_path / "s.yaml"
    file.write_text(tiny_study(1).text)
    assert main(["study", "run", str(file), "--out", str(tmp_path / "s"), "--engine", "ray"]) == 2
    said = capsys.readouterr().err
    assert "timed out during startup" in said
    assert "--engine local" in said
