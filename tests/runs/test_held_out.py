"""A share of the images that a run is never trained on, and that is scored by itself."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from isavae.cli import main
from isavae.data import ImageDataset
from isavae.data.factor_values import grid_of_values
from isavae.evaluation import evaluate
from isavae.runs import HELD_OUT, Run, RunConfig, evaluate_run, execute, training_images
from isavae.studies import Study, StudyDirectory, results
from isavae.studies.engines import Job, run_job

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (90, 6, 6), dtype=np.uint8)
GRID = grid_of_values({"kind": list("abc") * 30, "age": RNG.normal(size=90).tolist()})
SETTINGS = {"data": "arrays", "prior": "normal", "n_latents": 2, "width": 8, "batch_size": 8}
SETTINGS |= {"epochs": 2, "held_out": 0.2, "seed": 3, "likelihood": "gaussian(0.2)"}
CONFIG = RunConfig.parse(SETTINGS)
DATA = ImageDataset(PIXELS, GRID)
TRAINING, HELD = DATA.split_positions(3, 0.2)


def trained(path, pixels=PIXELS):
    run = Run.create(path, CONFIG)
    assert execute(run, ImageDataset(pixels, GRID))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("held") / "run")


def same_weights(run, other):
    ours, theirs = load_file(run.model_path), load_file(other.model_path)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_never_sees_the_images_that_it_holds_out(run, tmp_path):
    held, seen = PIXELS.copy(), PIXELS.copy()
    held[HELD] = 0
    seen[TRAINING[0]] = 0
    assert same_weights(run, trained(tmp_path / "held", held))
    assert not same_weights(run, trained(tmp_path / "seen", seen))


def test_the_choice_is_a_function_of_the_seed_and_steps_count_training_images(run):
    part = training_images(CONFIG, DATA)
    assert (len(part), len(HELD)) == (72, 18)
    assert sorted([*TRAINING, *HELD]) == list(range(90))
    assert torch.equal(part.batch(slice(None)), DATA.batch(TRAINING))
    assert run.metadata()["steps"] == 2 * (72 // 8)
    other = CONFIG.model_copy(update={"seed": 4})
    assert not torch.equal(training_images(other, DATA).batch([0, 1, 2]), part.batch([0, 1, 2]))
    assert training_images(RunConfig(), DATA) is DATA


def test_a_stopped_run_goes_on_with_the_same_images(run, tmp_path):
    stopped = Run.create(tmp_path / "run", CONFIG)
    answers = iter([False] * 4 + [True])
    assert not execute(stopped, DATA, should_stop=lambda: next(answers))
    assert execute(stopped, DATA)
    assert same_weights(run, stopped)
    with pytest.raises(ValueError, match=r"keeps its settings; held_out is 0\.2"):
        stopped.extended(CONFIG.model_copy(update={"held_out": 0.1}))


def test_both_parts_are_scored_with_the_same_classes(run):
    scores, codes = evaluate_run(run, ["dci", "elbo"], data=DATA)
    assert len(codes) == 90
    assert (scores["n_images"], scores[f"{HELD_OUT}n_images"]) == (72, 18)
    assert scores["binned"] == {"age": 20}
    for prefix, positions in (("", TRAINING), (HELD_OUT, HELD)):
        part = DATA.take(positions)
        alone = evaluate(run.load_model(), part, codes.with_bins_as_classes().take(
            torch.from_numpy(positions)), ["dci", "elbo"], bins=0)  # fmt: skip
        for name in ("reconstruction", "kl", "mig", "dci", "elbo_decomposition"):
            assert scores[prefix + name] == alone[name]
    assert scores["reconstruction"] != scores[f"{HELD_OUT}reconstruction"]
    # 18 values, each its own class, would make any code informative
    column = codes.with_bins_as_classes().factor("age").labels
    assert torch.equal(codes.factor("age").labels, column)
    assert len(codes.with_bins_as_classes().factor("age").counts) == 20


@pytest.mark.filterwarnings("always:the images of b.npy")
def test_images_of_another_data_set_are_not_divided(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    for name, seed in (("a", 0), ("b", 1)):
        images = np.random.default_rng(seed).integers(0, 256, (40, 6, 6), dtype=np.uint8)
        np.save(tmp_path / f"{name}.npy", images)
    run, data = str(tmp_path / "run"), str(tmp_path / "a.npy")
    flags = ["--width", "8", "--steps", "2", "--batch-size", "8", "--prior", "normal"]
    flags += ["--n-latents", "2", "--likelihood", "gaussian(0.2)", "--held-out", "0.25"]
    assert main(["train", "--data", data, "--out", run, *flags]) == 0
    assert "10 of the images are held out" in capsys.readouterr().out
    assert main(["evaluate", run]) == 0
    printed = capsys.readouterr().out
    assert "30 images of training" in printed
    assert "10 images held out" in printed
    moved = (tmp_path / "a.npy").rename(tmp_path / "moved.npy")
    assert main(["evaluate", run, "--data", str(moved)]) == 0
    assert "10 images held out" in capsys.readouterr().out
    assert main(["evaluate", run, "--data", str(tmp_path / "b.npy")]) == 0
    captured = capsys.readouterr()
    assert "to know which it held out, but are others" in captured.err
    assert "held out" not in captured.out


def test_a_share_that_leaves_a_part_empty_is_refused(tmp_path, capsys):
    np.save(tmp_path / "a.npy", PIXELS)
    words = ["train", "--data", str(tmp_path / "a.npy"), "--out", str(tmp_path / "run")]
    assert main([*words, "--held-out", "0.001"]) == 2
    assert "Both parts of a split need images" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_study_holds_images_out(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    settings = {name: value for name, value in SETTINGS.items() if name != "seed"}
    settings["data"] = str(tmp_path / "a.npy")
    study = Study.parse(json.dumps({"name": "s", "settings": settings, "runs": [{}]}))
    directory = StudyDirectory(tmp_path / "study")
    directory.initialise(study)
    (planned,) = study.runs
    assert run_job(Job(directory, planned.id, planned.config), None, bool).kind == "done"
    scores = Run.open(directory.run_path(planned.id)).scores() or {}
    assert (scores["n_images"], scores["held_out_n_images"]) == (72, 18)
    (row,) = results(directory.path).to_dicts()
    assert row["held_out"] == 0.2
    assert row["held_out_reconstruction"] == scores["held_out_reconstruction"]["value"]
