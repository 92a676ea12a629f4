"""Plans: hand values where a cost is made up, independent counts where it is measured."""

import math
import os
from dataclasses import replace
from threading import Thread
from types import SimpleNamespace

import pytest

from isavae.cli.command_line import main
from isavae.runs import RunConfig, build_model
from isavae.studies import (
    LocalEngine,
    RunEstimate,
    Study,
    StudyDirectory,
    StudyEstimate,
    available_cores,
    estimate,
    plan,
    run_study,
    usual_workers,
)
from isavae.studies.estimate import measure
from isavae.studies.shared_data import open_shared
from tests.study_runs import DATA, kill, tiny_study, wait_for, workers_of

pytestmark = pytest.mark.system

MADE_UP = RunEstimate(steps=0, step_seconds=0.5, other_seconds=3.0, weights_bytes=1_000_000)


@pytest.fixture
def measured(monkeypatch):
    """The configurations that a plan asks to be measured; every one costs the same."""
    asked = []
    monkeypatch.setattr(estimate, "measure", lambda config, *how: asked.append(config) or MADE_UP)
    return asked


def configs(**settings):
    return [RunConfig(data=DATA, batch_size=16, steps=10, seed=s, **settings) for s in range(3)]


def test_runs_that_cost_the_same_are_measured_once(measured):
    study = Study.from_file("exponents")
    assert len(plan([run.config for run in study.runs]).runs) == 128
    assert len(measured) == 2  # p*8 and 2.1[p*4, p*4]
    measured.clear()
    plan([run.config for run in Study.from_file("smoke").runs])
    models = [(c.prior, c.objective.name, c.learn_exponents) for c in measured]
    assert sorted(models) == [
        ("isa", "beta-tcvae", False),
        ("isa", "beta-vae", False),
        ("isa", "beta-vae", True),
        ("normal", "beta-tcvae", False),
        ("normal", "beta-vae", False),
        ("normal", "factor-vae", False),
    ]


def test_what_a_study_takes_follows_from_what_a_run_takes(measured):
    one = plan(configs(), workers=1)
    assert one.runs[0].seconds == 1 + 10 * 0.5 + 2
    assert one.seconds == 3 * 8
    two = plan(configs(), workers=2)
    assert two.seconds == 2 * 8  # two, then the third alone
    many = plan(configs(), workers=8)
    assert (many.workers, many.seconds) == (3, 8)


def test_a_free_worker_takes_the_next_run():
    runs = [replace(MADE_UP, other_seconds=seconds) for seconds in (3.0, 1.0, 1.0, 4.0)]
    assert StudyEstimate(tuple(runs), 2).seconds == 6.0


@pytest.mark.parametrize("budget", [9.0, 60.0, 1000.0])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_budget_is_filled_and_not_exceeded(measured, budget, workers):
    foreseen = plan(configs(), workers=workers)
    steps = foreseen.steps_within(budget)
    assert steps == math.floor((budget / math.ceil(3 / workers) - 3) / 0.5) * (
        budget / math.ceil(3 / workers) >= 3.5
    )
    if steps:
        assert foreseen.with_steps(steps).seconds <= budget
    assert foreseen.with_steps(steps + 1).seconds > budget


def test_what_a_plan_is_told_reaches_the_measurement(monkeypatch):
    told, kinds = [], []
    monkeypatch.setattr(estimate, "measure", lambda config, *how: told.append(how) or MADE_UP)
    runs = [*configs(), *configs(width=8)]
    plan(runs, workers=2, threads=3, images=32, seconds=0.5, on_kind=lambda *n: kinds.append(n))
    assert told == [(2, 3, 32, 0.5)] * 2
    assert kinds == [(1, 2), (2, 2)]


def test_every_run_has_the_cost_of_its_kind(monkeypatch):
    costs = {8: MADE_UP, 9: replace(MADE_UP, weights_bytes=5_000_000), 10: MADE_UP}
    monkeypatch.setattr(estimate, "measure", lambda config, *how: costs[config.width])
    runs = [RunConfig(data=DATA, batch_size=16, width=width) for width in costs]
    foreseen = plan(runs, workers=2)
    assert [run.weights_bytes for run in foreseen.runs] == [1_000_000, 5_000_000, 1_000_000]


def test_epochs_become_steps(measured):
    config = RunConfig(data=DATA, batch_size=16, epochs=3)
    assert plan([config]).runs[0].steps == 3 * (64 // 16)


def test_the_disk_foreseen_is_the_disk_used(tmp_path):
    study, root = tiny_study(), tmp_path / "s"
    foreseen = plan([run.config for run in study.runs], workers=2, seconds=0.01)
    run_study(study, StudyDirectory(root), LocalEngine(2))
    used = sum(path.stat().st_blocks * 512 for path in root.glob("runs/**/*"))
    assert foreseen.bytes == pytest.approx(used, rel=0.25)
    assert all(run.seconds > 0 for run in foreseen.runs)


@pytest.mark.parametrize(("images", "scored"), [(32, 32), (None, 64), (100, 64)])
def test_scores_timed_on_a_few_images_are_scaled_to_all(monkeypatch, images, scored):
    now = [0.0]

    def takes(seconds_per_image):
        def work(model, part):
            now[0] += seconds_per_image * len(part)

        return work

    monkeypatch.setattr(estimate, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(estimate, "encode_all", takes(1.0))
    monkeypatch.setattr(estimate, "likelihood_terms", takes(10.0))
    monkeypatch.setattr(estimate, "BATCH", 16)
    data = open_shared(DATA)
    model = build_model(RunConfig(data=DATA, width=8), data.shape)
    assert estimate._scoring_seconds(model, data, images) == 64 * 1.0 + scored * 10.0


def test_a_run_that_cannot_take_a_step_is_an_error():
    with pytest.raises(ValueError, match="a batch must fit"):
        measure(RunConfig(data=DATA, width=8, batch_size=65), 2, 1, None, 0.01)
    with pytest.raises(ValueError, match="at least one run"):
        plan([])


def test_a_timing_process_that_is_killed_is_an_error():
    def kill_one():
        wait_for(lambda: workers_of(os.getpid()))
        kill(workers_of(os.getpid())[0])

    killer = Thread(target=kill_one)
    killer.start()
    with pytest.raises(ValueError, match="was killed, possibly because memory ran out"):
        measure(RunConfig(data=DATA, width=8, batch_size=16), 1, 1, None, 60.0)
    killer.join()


def test_as_many_runs_at_a_time_as_use_every_core_once():
    cores = available_cores()
    assert usual_workers(1) == cores
    assert usual_workers(cores) == 1
    assert usual_workers(cores + 1) == 1


def test_the_command_line_says_it_in_80_columns(tmp_path, capsys):
    file = tmp_path / "tiny.yaml"
    file.write_text(tiny_study().text)
    assert main(["study", "plan", str(file), "--workers", "2", "--seconds", "0.01"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert shown.startswith(f"tiny: 4 runs, 2 at a time, {threads} thread")
    for words in ("\na run: ", "\nthe study: ", " runs an hour\n", "\ndisk: "):
        assert words in shown
