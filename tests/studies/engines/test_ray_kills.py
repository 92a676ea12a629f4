"""Studies on Ray, of which workers, drivers and nodes are killed: the results stay the same."""

import json
import os
import random
import signal
import time

import pytest

from isavae.studies import LocalEngine, StudyDirectory, run_study
from tests.study_runs import (
    check_tidy,
    children_called,
    kill,
    lock_holders,
    outcome,
    quiet_ray,
    start_driver,
    tiny_study,
    wait_for,
)

pytestmark = pytest.mark.system

ray = pytest.importorskip("ray", reason="needs ray: make setup")
LONG = 500
ROUNDS = 10


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed") / "study"
    run_study(tiny_study(LONG), StudyDirectory(root), LocalEngine(2))
    return outcome(root)


@pytest.fixture
def environment(tmp_path_factory, monkeypatch):
    base = tmp_path_factory.getbasetemp()
    for name, value in quiet_ray(base, tmp_path_factory.mktemp("cache")).items():
        monkeypatch.setenv(name, value)


NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
SECOND = NODE | {"node_ip_address": "127.0.0.3"}


@pytest.fixture
def cluster(environment):
    """A head and one more node, a CPU each."""
    from ray.cluster_utils import Cluster

    head = NODE | {"node_ip_address": "127.0.0.2"}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    yield nodes, nodes.add_node(**SECOND)
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.slow
def test_the_command_line_starts_ray_and_has_the_results_of_local_processes(tmp_path, environment):
    study = tiny_study(10)
    run_study(study, StudyDirectory(tmp_path / "local"), LocalEngine(2))
    driver = start_driver(study, tmp_path / "s", "--engine", "ray")
    text, _ = driver.communicate()
    assert driver.returncode == 0, text
    assert "4 of 4 runs done, 0 failed" in text
    check_tidy(tmp_path / "s", study)
    assert outcome(tmp_path / "s") == outcome(tmp_path / "local")


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.3, 0.8])
def test_sigterm_while_ray_ends_is_no_death(tmp_path, environment, after):
    study, root = tiny_study(1), tmp_path / "s"
    driver = start_driver(study, root, "--engine", "ray")
    wait_for(lambda: len(list(root.glob("runs/*/scores.json"))) == len(study.runs))
    time.sleep(after)
    driver.send_signal(signal.SIGTERM)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode in (0, 130), said
    assert "4 of 4 runs done" in said


@pytest.mark.slow
def test_a_study_goes_on_after_ray_itself_has_ended(tmp_path, environment, undisturbed):
    study, root = tiny_study(LONG), tmp_path / "s"
    flags = "--engine", "ray", "--workers", "1"
    driver = start_driver(study, root, *flags)
    wait_for(lambda: lock_holders(root))
    (node,) = children_called(driver.pid, "raylet/raylet")
    os.kill(node, signal.SIGTERM)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 2, said
    assert said.splitlines()[-1].startswith("isavae study run: Ray must run until the study ends")
    driver = start_driver(study, root, *flags)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    check_tidy(root, study)
    assert outcome(root) == undisturbed


@pytest.mark.slow
def test_a_killed_node_changes_no_bit(tmp_path, cluster, undisturbed):
    from isavae.studies import RayEngine

    nodes, second = cluster
    study, root = tiny_study(LONG), tmp_path / "s"
    directory, killed = StudyDirectory(root), []
    engine = RayEngine(study.resources, str(root), nodes.address)

    def kill_when_both_work(progress):
        busy = [run.id for run in study.runs if (directory.run_path(run.id) / "state.pt").exists()]
        if len(busy) == 2 and not killed:
            killed.extend(busy)
            nodes.remove_node(second, allow_graceful=False)

    progress = run_study(
        study, directory, engine, on_change=kill_when_both_work, checkpoint_seconds=0.1
    )
    assert len(killed) == 2
    assert (progress.done, progress.failed) == (4, {})
    check_tidy(root, study)
    assert outcome(root) == undisturbed
    starts = {run: _starts(directory, run) for run in killed}
    assert any(max(steps) > 0 for steps in starts.values()), f"no run was resumed: {starts}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_kills_at_random_moments_change_nothing(tmp_path, cluster, undisturbed, seed):
    nodes, second = cluster
    study, root, chance = tiny_study(LONG), tmp_path / "s", random.Random(seed)
    flags = "--engine", "ray", "--address", nodes.address
    driver = start_driver(study, root, *flags)
    hit = 0
    for victim in chance.sample(["worker", "driver", "node"], 3):
        wait_for(lambda d=driver: lock_holders(root) or d.poll() is not None)
        time.sleep(chance.uniform(0, 2.0))
        hit += bool(lock_holders(root))
        if victim == "worker" and (workers := lock_holders(root)):
            kill(chance.choice(workers))
        elif victim == "driver":
            kill(driver.pid)
            driver.communicate()
            driver = start_driver(study, root, *flags)
        elif victim == "node":
            nodes.remove_node(second, allow_graceful=False)
            nodes.add_node(**SECOND)
    text, _ = driver.communicate()
    assert driver.returncode == 0, text
    assert "4 of 4 runs done, 0 failed" in text
    assert hit > 0, "all kills came too late"
    check_tidy(root, study)
    assert outcome(root) == undisturbed


def _starts(directory, run):
    log = (directory.run_path(run) / "log.jsonl").read_text().splitlines()
    return [r["step"] for r in map(json.loads, log) if r.get("event") == "start"]
