"""Plans: hand values where a cost is made up, independent counts where it is measured."""

import math
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from isavae.cli.command_line import main
from isavae.runs import RunConfig, build_model
from isavae.studies import (
    LocalEngine,
    Study,
    StudyDirectory,
    available_cores,
    estimate,
    plan,
    run_study,
    share_cores,
    timing,
)
from isavae.studies.forking import fork_server
from isavae.studies.shared_data import open_shared
from isavae.studies.timing import Cost, measure
from tests.study_runs import DATA, tiny_study

pytestmark = pytest.mark.system

MADE_UP = Cost(
    start_seconds=1.0,
    step_seconds=0.5,
    scoring_seconds=2.0,
    step_flop=4e9,
    weights_bytes=1e6,
    state_bytes=3e6,
)


@pytest.fixture
def measured(monkeypatch):
    """The configurations that a plan asks to be measured; every one costs the same."""
    asked = []
    monkeypatch.setattr(estimate, "measure", lambda config, **how: asked.append(config) or MADE_UP)
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
    assert two.checkpoint_bytes == 2 * 3e6
    many = plan(configs(), workers=8)
    assert (many.workers, many.seconds, many.checkpoint_bytes) == (3, 8, 3 * 3e6)
    # 4 GFLOP at 1 TFLOP/s are 4 ms; at 4 TFLOP/s the floor of 3 ms counts.
    assert one.gpu_seconds(1, 1e12) == pytest.approx(3 * 10 * 4e-3)
    assert one.gpu_seconds(3, 4e12) == pytest.approx(10 * 3e-3)


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


def test_checkpoints_take_most_where_the_largest_meet(monkeypatch):
    costs = {8: MADE_UP, 9: replace(MADE_UP, state_bytes=5e6), 10: MADE_UP}
    monkeypatch.setattr(estimate, "measure", lambda config, **how: costs[config.width])
    told, runs = [], [RunConfig(data=DATA, batch_size=16, width=width) for width in costs]
    foreseen = plan(runs, workers=2, on_kind=lambda *counts: told.append(counts))
    assert foreseen.checkpoint_bytes == 5e6 + 3e6
    assert [run.cost.state_bytes for run in foreseen.runs] == [3e6, 5e6, 3e6]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_a_plan_is_told_reaches_the_measurement(monkeypatch):
    told = []
    monkeypatch.setattr(estimate, "measure", lambda config, **how: told.append(how) or MADE_UP)
    plan(configs(), workers=2, threads=3, images=32, seconds=0.5)
    assert told == [{"workers": 2, "threads": 3, "images": 32, "seconds": 0.5}]


def test_epochs_become_steps(measured):
    config = RunConfig(data=DATA, batch_size=16, epochs=3)
    assert plan([config]).runs[0].steps == 3 * (64 // 16)


def test_the_disk_foreseen_is_the_disk_used(tmp_path):
    study, root = tiny_study(), tmp_path / "s"
    foreseen = plan([run.config for run in study.runs], workers=2, seconds=0.01)
    run_study(study, StudyDirectory(root), LocalEngine(2), threads=1)
    used = sum(path.stat().st_blocks * 512 for path in root.glob("runs/**/*"))
    assert foreseen.bytes == pytest.approx(used, rel=0.25)
    assert all(run.seconds > 0 for run in foreseen.runs)


def test_operations_are_those_of_the_products():
    width, pixels, latent, batch = 8, 256, 20, 16
    cost = measure(RunConfig(data=DATA, width=width, batch_size=batch), seconds=0.01, images=32)
    encoder = [pixels * width, width * width, width * 2 * latent]
    decoder = [latent * width, width * width, width * width, width * pixels]
    forward = 2 * sum(encoder + decoder)
    # Backward takes two products a layer, but the images need no gradient.
    assert cost.step_flop == batch * (3 * forward - 2 * encoder[0])


@pytest.mark.parametrize(("images", "scored"), [(32, 32), (None, 64), (100, 64)])
def test_scores_timed_on_a_few_images_are_scaled_to_all(monkeypatch, images, scored):
    now = [0.0]

    def takes(seconds_per_image):
        def work(model, part):
            now[0] += seconds_per_image * len(part)

        return work

    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(timing, "encode_all", takes(1.0))
    monkeypatch.setattr(timing, "likelihood_terms", takes(10.0))
    monkeypatch.setattr(timing, "BATCH", 16)
    data = open_shared(DATA)
    model = build_model(RunConfig(data=DATA, width=8), data.shape)
    assert timing._scoring_seconds(model, data, images) == 64 * 1.0 + scored * 10.0


def test_a_run_that_cannot_take_a_step_is_named_in_a_sentence():
    with pytest.raises(ValueError, match=r"must be able to take a step.*batch must fit"):
        measure(RunConfig(data=DATA, width=8, batch_size=65), workers=2)
    with pytest.raises(ValueError, match="at least one run"):
        plan([])


def test_a_timing_process_that_is_killed_is_an_error():
    ours, theirs = fork_server().Pipe(duplex=False)
    theirs.close()
    with pytest.raises(ValueError, match="was killed, possibly because memory ran out"):
        timing._receive_cost(ours)


def test_workers_and_threads_share_the_cores():
    cores = available_cores()
    assert share_cores(None, None) == (cores, 1)
    assert share_cores(1, None) == (1, cores)
    assert share_cores(1, cores + 1) == (1, cores), "no more threads than cores"
    assert share_cores(None, cores) == (1, cores)
    assert share_cores(3 * cores, None) == (3 * cores, 1)


def test_the_command_line_says_it_in_80_columns(tmp_path, capsys):
    file = tmp_path / "tiny.yaml"
    file.write_text(tiny_study().text)
    flags = ["--workers", "2", "--gpus", "3", "--seconds", "0.01"]
    assert main(["study", "plan", str(file), *flags]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert shown.startswith(f"tiny: 4 runs, 2 at a time, {threads} thread")
    for words in ("isa-vae", "\nhere: ", "\ndisk: ", "\n3 GPUs: about ", "not measured"):
        assert words in shown
