"""Studies on Ray: started by the command line; a cluster of two nodes, one of which is killed."""

import json

import pytest

from isavae.studies import StudyDirectory
from isavae.studies.execute import run_study
from isavae.studies.local import LocalEngine
from tests.study_runs import outcome, require_tidy, start_driver, tiny_study

ray = pytest.importorskip("ray")
LONG = 500


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed") / "study"
    run_study(tiny_study(LONG), StudyDirectory(root), LocalEngine(2), threads=1)
    return outcome(root)


@pytest.fixture
def quiet_ray(tmp_path_factory, monkeypatch):
    """What Ray needs to be told. Its sockets need a short path."""
    for name, value in {
        "RAY_TMPDIR": str(tmp_path_factory.getbasetemp()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "ISAVAE_CACHE": str(tmp_path_factory.mktemp("cache")),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def cluster(quiet_ray):
    """A head and one more node, a CPU each."""
    from ray.cluster_utils import Cluster

    common = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=common | {"node_ip_address": "127.0.0.2"})
    yield nodes, nodes.add_node(**common, node_ip_address="127.0.0.3")
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.slow
def test_the_command_line_starts_ray_and_has_the_results_of_local_processes(tmp_path, quiet_ray):
    study = tiny_study(10)
    run_study(study, StudyDirectory(tmp_path / "local"), LocalEngine(2), threads=1)
    driver = start_driver(study, tmp_path / "s", "--engine", "ray")
    text, _ = driver.communicate()
    assert driver.returncode == 0, text
    assert "4 of 4 runs done, 0 failed" in text
    require_tidy(tmp_path / "s", study)
    assert outcome(tmp_path / "s") == outcome(tmp_path / "local")


@pytest.mark.slow
def test_a_killed_node_changes_no_bit(tmp_path, cluster, undisturbed):
    from isavae.studies.cluster import RayEngine

    nodes, second = cluster
    study, root = tiny_study(LONG), tmp_path / "s"
    directory, killed = StudyDirectory(root), []
    engine = RayEngine(study.resources, str(root), nodes.address)

    def kill_when_both_work(tally):
        busy = [run.id for run in study.runs if (directory.run_path(run.id) / "state.pt").exists()]
        if len(busy) == 2 and not killed:
            killed.extend(busy)
            nodes.remove_node(second, allow_graceful=False)

    tally = run_study(
        study, directory, engine, threads=1, on_change=kill_when_both_work, checkpoint_seconds=0.1
    )
    assert len(killed) == 2
    assert (tally.done, tally.failed) == (4, {})
    require_tidy(root, study)
    assert outcome(root) == undisturbed
    starts = {run: _starts(directory, run) for run in killed}
    assert any(max(steps) > 0 for steps in starts.values()), f"no run was resumed: {starts}"


def _starts(directory, run):
    log = (directory.run_path(run) / "log.jsonl").read_text().splitlines()
    return [r["step"] for r in map(json.loads, log) if r.get("event") == "start"]
