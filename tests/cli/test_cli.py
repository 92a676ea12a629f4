"""The command line as a person types it."""

import json
import shlex
import subprocess
import sys
from dataclasses import fields

import pytest

from isavae.cli import main
from isavae.models import OBJECTIVES
from isavae.runs import Run, RunConfig, execute

pytestmark = pytest.mark.system

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
SMALL = ["--data", DATA, "--prior", "2.1[2.2*2, 2.2*2]", "--batch-size", "32", "--width", "64"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "first"
    assert main(["train", *SMALL, "--beta", "1", "--steps", "6", "--out", str(out)]) == 0
    return out


def complaint(capsys, *words):
    """The one line on stderr that a bad command ends with."""
    assert main(words) == 2
    captured = capsys.readouterr().err.strip().splitlines()
    assert len(captured) == 1
    assert "Traceback" not in captured[0]
    return captured[0]


def test_train_evaluate_and_figures(trained, capsys):
    assert Run.open(trained).finished()
    assert main(["evaluate", str(trained), "--images", "100"]) == 0
    printed = capsys.readouterr().out
    assert "MIG" in printed
    assert "posX" in printed
    scores = json.loads((trained / "scores.json").read_text())
    assert scores["factors"] == ["posX", "posY"]
    assert scores["reconstruction"]["n_images"] == 100
    for name in ("latents", "traversals", "reconstructions"):
        assert main(["figure", name, str(trained)]) == 0
        assert (trained / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert main(["figure", "latents", str(trained), "--format", "svg"]) == 0
    assert b"<svg" in (trained / "latents.svg").read_bytes()


def test_evaluate_with_any_metrics(trained, capsys):
    words = ["evaluate", str(trained), "--images", "100", "--metrics", "information", "elbo", "udr"]
    assert main([*words, "--compare", str(trained)]) == 0
    printed = capsys.readouterr().out
    assert "elbo_decomposition" in printed
    scores = json.loads((trained / "scores.json").read_text())
    assert 0 <= scores["mig"]["value"] <= 1
    assert scores["subspace_mig"]["parameters"]["subspaces"] == [[0, 1], [2, 3]]
    assert scores["udr"]["parameters"]["runs"] == 2
    assert (trained / "information.png").read_bytes().startswith(b"\x89PNG")
    assert "did you mean mig" in complaint(capsys, "evaluate", str(trained), "--metrics", "migg")


def test_an_unfinished_run_is_scored_and_says_how_to_go_on(tmp_path, capsys):
    config = RunConfig.parse(
        {"data": DATA, "prior": "2*2", "batch_size": 32, "width": 8, "steps": 5}
    )
    run = Run.create(tmp_path / "run", config)
    assert not execute(run, should_stop=lambda: True)
    assert main(["evaluate", str(run.path), "--images", "all"]) == 0
    printed = capsys.readouterr().out
    assert "unfinished: step 1 of 5 is scored; continue with: isavae train --resume" in printed
    assert "(all images)" in printed
    assert execute(run)
    assert main(["evaluate", str(run.path)]) == 0
    assert "unfinished" not in capsys.readouterr().out


def test_output_that_is_no_terminal_is_plain(trained, capsys):
    for words in (["evaluate", str(trained), "--metrics", "information"], ["train", "--help"]):
        assert main(words) == 0
        captured = capsys.readouterr()
        assert "\x1b" not in captured.out + captured.err


def test_existing_runs_are_not_overwritten_but_resumed(trained, capsys):
    train = ["train", *SMALL, "--steps", "9", "--out", str(trained)]
    before = (trained / "model.safetensors").read_bytes()
    assert "resume it or choose another name" in complaint(capsys, *train)
    assert (trained / "model.safetensors").read_bytes() == before
    assert main([*train, "--resume"]) == 0
    capsys.readouterr()
    assert Run.open(trained).metadata()["step"] == 9
    assert "batch_size is 32" in complaint(capsys, *train, "--resume", "--batch-size", "16")


def test_flags_override_the_file_which_overrides_the_model(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(f"data: '{DATA}'\nprior: normal\nn_latents: 3\nsteps: 4\nbatch_size: 32\n")
    words = ["train", "--model", "isa-vae", "--config", str(file), "--steps", "2", "--beta", "3"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    config = Run.open(tmp_path / "run").config
    assert (config.prior, config.steps, config.objective.beta) == ("normal", 2, 3.0)


def test_a_flag_of_a_switch_overrides_the_file_only_where_it_is_given(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("learn_exponents: true\nlearn_p0: true\nsteps: 1\n")
    words = ["train", "--config", str(file), *SMALL, "--no-learn-p0"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    config = Run.open(tmp_path / "run").config
    assert (config.learn_exponents, config.learn_p0) == (True, False)


def test_no_frame_of_a_bar_is_written_to_a_pipe_where_colours_are_forced(
    trained, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as the kernel of a notebook does
    assert main(["train", *SMALL, "--steps", "6", "--out", str(tmp_path / "run")]) == 0
    assert main(["evaluate", str(trained)]) == 0
    out, said = capsys.readouterr()
    assert "MIG" in out
    assert "training: 6/6" in said
    assert "\x1b" not in out + said


def test_on_a_terminal_what_is_trained_is_wrapped(tmp_path, capsys, monkeypatch):
    words = ["train", *SMALL, "--out", str(tmp_path / "run")]
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    begun = lines[: lines.index(next(line for line in lines if line.endswith("images"))) + 1]
    assert len(begun) > 1
    assert all(line.startswith("  ") for line in begun[1:])
    assert f"prior on {DATA}" in " ".join(line.strip() for line in begun)


def test_every_setting_and_parameter_is_a_flag_with_its_own_description(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["train", "--help"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    text = " ".join(printed.replace("│", " ").split())
    settings = RunConfig.model_fields
    for name in settings.keys() - {"objective"}:
        assert f"--{name.replace('_', '-')}" in text
        assert settings[name].description in text
    parameters = {field.name for made in OBJECTIVES.values() for field in fields(made)}
    assert all(f"--objective.{name.replace('_', '-')}" in text for name in parameters)
    assert "(beta-vae 1.0)" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian"], "did you mean train"),
        (["figure", "latent"], "did you mean figure latents"),
        (["train", "--out", "x", "--data", "dsprit"], "did you mean dsprites"),
        (["train", "--out", "x", "--prior", "2.1[2.2*4, oops]"], "column"),
        (["train", "--out", "x", "--prior", "2.1[-2*4]"], "-2"),
        (["train", "--out", "x", "--n-latents", "7"], "leave n_latents out"),
        (["train", "--out", "x", "--model", "gan"], "isa-vae"),
        (["train", "--out", "x", "--objective.kl-estimator", "analytic"], "kl_estimator=sampled"),
        (["train", "--out", "x", "--device", "abacus"], "auto, cpu"),
        (["train", "--out", "/proc/none", *SMALL], "writable"),
        (["train", "--out", "x", "--data", DATA, "--batch-size", "4096"], "4096"),
        (["train", "--out", "x", "--config", "missing.yaml"], "missing.yaml"),
        (["evaluate", "nowhere"], "config.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in complaint(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_help_lists_every_verb_and_a_group_its_own(capsys):
    assert main(["--help"]) == 0
    everything = capsys.readouterr().out
    assert "train" in everything
    assert "data draw" in everything
    assert max(map(len, everything.splitlines())) <= 80
    assert main(["data", "--help"]) == 0
    assert "train" not in capsys.readouterr().out


def test_the_overview_imports_nothing_heavy():
    script = (
        "import sys; from isavae.cli import main; main(['--help']);"
        "assert not {'torch', 'numpy', 'pydantic', 'tyro', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_closed_output_and_errors_end_nothing(tmp_path):
    words = ["-m", "isavae", "train", "--steps", "1", *SMALL, "--out", str(tmp_path)]
    command = shlex.join([sys.executable, *words])
    subprocess.run(f"{command} >&- 2>&-", shell=True, check=True)
    assert (tmp_path / "model.safetensors").is_file()


def test_train_writes_tensorboard_events_also_when_it_is_resumed(tmp_path):
    reading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="needs tensorboard: make setup",
    )
    words = ["train", *SMALL, "--out", str(tmp_path / "run"), "--track", "tensorboard"]
    for steps in ("60", "120"):
        assert main([*words, "--steps", steps, "--resume"]) == 0
    events = reading.EventAccumulator(str(tmp_path / "run")).Reload()
    logged = [record for record in Run.open(tmp_path / "run").log() if "loss" in record]
    values = [(event.step, pytest.approx(event.value)) for event in events.Scalars("loss")]
    assert values == [(record["step"], record["loss"]) for record in logged]
    assert [step for step, _ in values] == [50, 60, 100, 120]
    assert "kl" in events.Tags()["scalars"]


def test_tracking_without_its_package_leaves_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    words = ["train", *SMALL, "--out", str(tmp_path / "run"), "--track", "tensorboard"]
    assert main(words) == 2
    assert "this needs the package" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
