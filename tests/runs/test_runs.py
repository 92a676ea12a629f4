"""Runs: configurations, directories, and that a stopped run goes on bit for bit."""

import json
from contextlib import contextmanager, suppress

import pytest
import torch
from safetensors.torch import load_file, save_file

from isavae.cli import main
from isavae.data import load
from isavae.evaluation import encode_all
from isavae.models import OBJECTIVES, BetaVAE
from isavae.runs import (
    CorruptCheckpointError,
    NonFiniteLossError,
    Run,
    RunConfig,
    TrainedModel,
    build_model,
    execute,
)
from isavae.training import TrainState, resolve_device, resolve_precision, train

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
TINY = {"data": DATA, "prior": "2.1[2.2*2, 2.2*2]", "steps": 12}
TINY |= {"batch_size": 32, "width": 64, "precision": "float32"}


@pytest.fixture(scope="module")
def data():
    return load(DATA)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    run = Run.create(tmp_path_factory.mktemp("runs") / "whole", RunConfig.parse(TINY))
    assert execute(run, data)
    return run


def weights(run):
    return load_file(run.model_path)


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_stop_between_the_two_files_of_a_checkpoint_is_repaired(undisturbed, data, tmp_path):
    run = Run.create(tmp_path / "torn", undisturbed.config)
    execute(run, data)
    run.model_path.unlink()
    assert not run.finished()
    assert execute(run, data)
    assert_same_bits(weights(run), weights(undisturbed))


def test_stopping_and_going_on_gives_the_same_bits(undisturbed, data, tmp_path):
    run = Run.create(tmp_path / "stopped", undisturbed.config)
    answers = iter([False] * 4 + [True])
    assert not execute(run, data, should_stop=lambda: next(answers))
    assert run.metadata()["step"] == 5
    assert execute(run, data)
    assert_same_bits(weights(run), weights(undisturbed))


def test_evaluating_between_steps_changes_nothing(undisturbed, data):
    config = undisturbed.config
    state = TrainState(build_model(config, data.shape), config.learning_rate)
    for _ in train(state, data, config.objective, steps=12, batch_size=32, seed=0):
        encode_all(state.model, data)
        torch.manual_seed(torch.randint(1000, ()).item())
    assert_same_bits(state.model.state_dict(), weights(undisturbed))


def test_training_lowers_the_loss(data, tmp_path):
    run = Run.create(tmp_path / "run", RunConfig.parse(TINY | {"steps": 120}))
    execute(run, data, log_every=1)
    losses = [record["loss"] for record in run.log() if "loss" in record]
    assert len(losses) == 120
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])


def test_a_longer_run_continues_the_shorter_one(undisturbed, data, tmp_path):
    short = Run.create(tmp_path / "short", RunConfig.parse(TINY | {"steps": 7}))
    execute(short, data)
    longer = short.extended(short.config.model_copy(update={"steps": 12}))
    execute(longer, data)
    assert_same_bits(weights(longer), weights(undisturbed))
    with pytest.raises(ValueError, match=r"keeps its settings; learning_rate is 0\.001"):
        short.extended(short.config.model_copy(update={"learning_rate": 0.1}))


def test_divergence_names_step_term_and_checkpoint(data, tmp_path):
    config = RunConfig.parse(TINY | {"learning_rate": 1e30, "steps": 50})
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(
        NonFiniteLossError, match=r"(kl|reconstruction) is .* at step \d+.*checkpoint"
    ):
        execute(run, data, checkpoint_seconds=0.0)
    saved = torch.load(run.state_path, weights_only=True) if run.state_path.exists() else None
    assert saved is None or all(v.isfinite().all() for v in saved["model"].values())


def test_config_round_trips_through_json_and_yaml(tmp_path):
    config = RunConfig.parse(TINY | {"objective": {"name": "beta-vae", "beta": 4}})
    assert RunConfig.parse(json.loads(json.dumps(config.settings()))) == config
    path = tmp_path / "config.yaml"
    path.write_text("data: dsprites\nobjective: {name: beta-vae, beta: 2.5}\nsteps: 3\n")
    assert RunConfig.from_file(path).objective == BetaVAE(2.5)


def test_epochs_of_the_paper_are_7200_steps():
    assert RunConfig().total_steps(737_280) == 7200


def test_resolve_device_and_precision():
    cpu = resolve_device("cpu")
    assert resolve_precision("float32", cpu, 2048) == torch.float32
    assert resolve_precision("bfloat16", cpu, 8) == torch.bfloat16
    assert resolve_precision("auto", cpu, 2048) in (torch.float32, torch.bfloat16)
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        resolve_device("quantum")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="none here; use --device cpu"):
            resolve_device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"neon": True, "bf16": True}, torch.float32),  # another architecture's names
    ],
)
def test_auto_precision_is_bfloat16_only_on_a_cpu_that_multiplies_it(
    monkeypatch, capabilities, dtype
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert resolve_precision("auto", torch.device("cpu"), 2048) == dtype


def test_auto_precision_is_float32_for_few_images_on_a_cpu(monkeypatch):
    capabilities = {"avx512_bf16": True, "amx_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    cpu = torch.device("cpu")
    assert [resolve_precision("auto", cpu, n) for n in (127, 128)] == [
        torch.float32,
        torch.bfloat16,
    ]


def test_auto_precision_is_float32_where_torch_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_precision("auto", torch.device("cpu"), 2048) == torch.float32


def test_bfloat16_networks_leave_the_distributions_in_float32(data):
    model = build_model(RunConfig.parse(TINY), data.shape)
    model.network_dtype = torch.bfloat16
    output = model(data.batch(range(4)))
    assert output.z.dtype == torch.float32
    assert output.likelihood.log_prob(output.x).dtype == torch.float32
    exact = build_model(RunConfig.parse(TINY), data.shape).moments(output.x)[0]
    assert not torch.equal(output.posterior.mean, exact)
    torch.testing.assert_close(output.posterior.mean, exact, atol=0.02, rtol=0.05)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stepz": 3}, "'stepz' is not a setting"),
        ({"steps": 0}, "steps"),
        ({"steps": 3, "epochs": 2}, "not both"),
        ({"objective": {"name": "beta-vae", "beta": -1}}, "beta must be at least 0"),
        ({"objective": {"name": "no-vae"}}, "beta-vae"),
        ({"learning_rate": "fast"}, "learning_rate"),
    ],
)
def test_bad_settings_get_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        RunConfig.parse(settings)
    assert "\n" not in str(error.value)


def test_bad_directories_get_a_sentence(undisturbed, data, tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        Run.open(tmp_path)
    with pytest.raises(ValueError, match="new or empty directory"):
        Run.create(undisturbed.path, undisturbed.config)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="new or empty directory"):
        Run.create(tmp_path / "file", undisturbed.config)
    run = Run.create(tmp_path / "fresh", undisturbed.config)
    with pytest.raises(ValueError, match="train first"):
        run.load_model()
    run.state_path.write_bytes(undisturbed.state_path.read_bytes()[:1000])
    with pytest.raises(CorruptCheckpointError, match="checkpoint must be whole"):
        execute(run, data)
    run.model_path.write_bytes(undisturbed.model_path.read_bytes()[:1000])
    with pytest.raises(CorruptCheckpointError, match="whole model file"):
        run.load_model()


def test_batch_larger_than_the_data_set(data, tmp_path):
    config = RunConfig.parse(TINY | {"batch_size": 5000})
    with pytest.raises(ValueError, match="batch must fit the data set"):
        execute(Run.create(tmp_path / "run", config), data)


def test_loaded_model_is_the_trained_one(undisturbed, data):
    model = undisturbed.load_model()
    assert_same_bits(model.state_dict(), weights(undisturbed))
    assert not model.training


# As isavae 0.1 wrote it.
OLD_CONFIG = {
    "data": "dsprites",
    "prior": "isa",
    "prior_scale": 1.0,
    "latent": None,
    "learn_exponents": False,
    "objective": {"beta": 6.0, "kl": "sampled", "name": "tcvae"},
    "likelihood": "bernoulli",
    "network": "mlp",
    "steps": 7200,
    "batch_size": 2048,
    "lr": 0.001,
    "prior_lr": 0.0005,
    "seed": 0,
}


def test_runs_and_models_of_another_format_are_refused(undisturbed, tmp_path):
    earlier = "of format 2 .*was written by an earlier version: train again, or use isavae 0.1"
    path = tmp_path / "old"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(OLD_CONFIG))
    with pytest.raises(ValueError, match=f"a run directory must be {earlier}"):
        Run.open(path)
    (path / "config.json").write_text(json.dumps(OLD_CONFIG | {"version": 3}))
    with pytest.raises(ValueError, match="is of format 3: upgrade isavae"):
        Run.open(path)
    metadata = json.dumps({"config": OLD_CONFIG, "shape": [1, 16, 16], "step": 1, "steps": 1})
    save_file(weights(undisturbed), path / "old.safetensors", {"isavae": metadata})
    with pytest.raises(ValueError, match=f"a model file must be {earlier}"):
        TrainedModel.load(path / "old.safetensors")


def test_the_config_of_a_run_is_a_configuration_file(undisturbed):
    assert json.loads((undisturbed.path / "config.json").read_text())["version"] == 2
    assert RunConfig.from_file(undisturbed.path / "config.json") == undisturbed.config


def test_a_resumed_run_keeps_its_threads_and_precision(data, tmp_path, monkeypatch):
    config = RunConfig.parse(TINY | {"precision": "auto", "batch_size": 128})
    run = Run.create(tmp_path / "run", config)
    native(monkeypatch, False)
    before = torch.get_num_threads()
    with threads(before + 1):
        execute(run, data, should_stop=lambda: True)
    native(monkeypatch, True)
    assert execute(run, data)
    assert torch.get_num_threads() == before
    starts = [record for record in run.log() if record.get("event") == "start"]
    assert [record["threads"] for record in starts] == [before + 1] * 2
    assert [record["precision"] for record in starts] == ["float32"] * 2


def test_a_run_that_cannot_keep_its_precision_says_so(data, tmp_path, monkeypatch):
    config = RunConfig.parse(TINY | {"precision": "auto", "batch_size": 128})
    run = Run.create(tmp_path / "run", config)
    native(monkeypatch, True)
    execute(run, data, should_stop=lambda: True)
    native(monkeypatch, False)
    with pytest.warns(UserWarning, match=r"began on another device \(cpu, .*, bfloat16\): .* bit"):
        execute(run, data)


def test_a_run_on_another_processor_says_so(data, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", RunConfig.parse(TINY))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OLD")
    execute(run, data, should_stop=lambda: True)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"began on another device \(cpu, OLD, .* not bit"):
        assert execute(run, data)


def test_a_resumed_run_sums_with_the_threads_it_began_with(tmp_path):
    """So wide and in batches so large that one and two threads sum in other orders."""
    settings = {"data": "dsprites16[shape=heart, scale=0]", "prior": "2*2", "width": 1200}
    config = RunConfig.parse(settings | {"steps": 2, "batch_size": 2048, "precision": "float32"})
    images, undisturbed = load(config.data), {}
    for count in (1, 2):
        with threads(count):
            whole = Run.create(tmp_path / f"whole {count}", config)
            execute(whole, images)
            cut = Run.create(tmp_path / f"cut {count}", config)
            execute(cut, images, should_stop=lambda: True)
        with threads(3 - count):
            assert execute(cut, images)
        undisturbed[count] = whole.load_model().state_dict()
        assert_equal(cut.load_model().state_dict(), undisturbed[count])
    first, second = undisturbed.values()
    if all(torch.equal(first[name], second[name]) for name in first):
        pytest.skip("needs a machine where one and two threads differ")


def assert_equal(found, expected):
    for name, values in expected.items():
        assert torch.equal(found[name], values), name


def native(monkeypatch, answer):
    """Let the CPU say whether it computes bfloat16."""
    # Older versions of torch do not have this function.
    says = {"avx512_bf16": answer}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: says, raising=False)


@contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def test_a_run_is_trained_by_one_process_at_a_time(data, tmp_path, capsys):
    run = Run.create(tmp_path / "run", RunConfig.parse(TINY))
    refused = []

    def try_another(step, steps, values):
        for attempt in (
            lambda: execute(run, data),
            lambda: run.extended(run.config.model_copy(update={"steps": 13})),
        ):
            with pytest.raises(ValueError, match="one process at a time; another one trains"):
                attempt()
            refused.append(step)

    assert execute(run, data, on_step=try_another)
    assert refused
    assert Run.open(run.path).config == run.config


def test_a_kill_before_the_configuration_leaves_a_directory_that_can_be_started(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".isavae-x1~").write_text("half writ")
    words = ["train", "--out", str(tmp_path / "run"), "--resume", "--steps", "2"]
    flags = ["--data", DATA, "--batch-size", "32", "--width", "16"]
    assert main([*words, *flags]) == 0
    assert not (tmp_path / "run" / ".isavae-x1~").exists()


@pytest.mark.parametrize("rate", [100.0, 1e20])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_that_diverges_says_so(name, rate, data, tmp_path):
    settings = {"objective": {"name": name}, "learning_rate": rate, "steps": 40, "width": 8}
    run = Run.create(tmp_path / "run", RunConfig.parse(TINY | settings))
    with suppress(NonFiniteLossError):
        execute(run, data)


@pytest.mark.parametrize("between", ["latents", "subspaces"])
def test_a_diverged_total_correlation_is_a_non_finite_loss(between, data, tmp_path):
    objective = {"name": "beta-tcvae", "between": between}
    config = RunConfig.parse(TINY | {"objective": objective, "learning_rate": 1e20})
    with pytest.raises(NonFiniteLossError, match=r"is nan at step \d+: lower the learning rate"):
        execute(Run.create(tmp_path / "run", config), data)


def test_a_batch_of_one_image_for_batch_normalisation_is_refused(tmp_path, capsys):
    words = ["train", "--data", DATA, "--network", "conv", "--batch-size", "1"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert "two images or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
