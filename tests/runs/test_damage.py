"""Files of a run and settings that are damaged, hostile or absurd are refused with a sentence."""

import json
import math
import os
import random
import shutil
import time
import tracemalloc
import zipfile
from contextlib import suppress
from dataclasses import fields

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from isavae.data import load, torch_file
from isavae.explorer.describe import score_lines
from isavae.files import DamagedFileError, FileTooLargeError, sealed
from isavae.models import OBJECTIVES
from isavae.runs import (
    CorruptCheckpointError,
    Run,
    RunConfig,
    TrainedModel,
    check_trainable,
    execute,
    execution,
    fresh_state,
    merge_settings,
    model_file,
)
from isavae.runs.build import prior_of
from isavae.runs.config import read_mapping
from isavae.runs.model_file import save_model
from isavae.studies import Study, results
from isavae.studies.located_yaml import LocatedYaml

pytestmark = pytest.mark.system

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
CONFIG = {"data": DATA, "prior": "2.1[2.2*2, 2.2*2]", "steps": 4, "batch_size": 32, "width": 16}
FLIPS = 60


@pytest.fixture(scope="module")
def data():
    return load(DATA)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    run = Run.create(tmp_path_factory.mktemp("damage") / "run", RunConfig.parse(CONFIG))
    execute(run, data)
    run.write_scores({"mig": {"value": 0.123456}, "n_images": 1024})
    return run


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def damaged(path):
    """The bytes of a file with one bit flipped at random places, cut, emptied and zeroed."""
    content, seeded = path.read_bytes(), random.Random(0)
    for at in (seeded.randrange(len(content)) for _ in range(FLIPS)):
        changed = bytes([content[at] ^ 1 << seeded.randrange(8)])
        yield content[:at] + changed + content[at + 1 :]
    yield from (content[: len(content) // 2], content[:-1], b"", bytes(len(content)))


def test_a_damaged_checkpoint_is_refused_or_gives_the_same_weights(run, whole, data):
    """What lies between the members of a zip is no part of the state."""
    refused = 0
    for content in damaged(run.state_path):
        run.state_path.write_bytes(content)
        try:
            execute(run, data)
        except CorruptCheckpointError:
            refused += 1
        else:
            torch.testing.assert_close(load_file(run.model_path), load_file(whole.model_path))
    assert refused > FLIPS // 2


def test_a_damaged_model_is_refused(run):
    for content in damaged(run.model_path):
        run.model_path.write_bytes(content)
        for read in (run.load_model, run.finished, lambda: TrainedModel.load(run.model_path)):
            with pytest.raises(ValueError, match="model file"):
                read()


@pytest.mark.parametrize("name", ["config.json", "scores.json"])
def test_damaged_json_is_refused_or_says_the_same(run, name):
    """A bit of the checksum's own name leaves a file without a checksum."""
    before = run.config.settings(), run.scores()
    for content in damaged(run.path / name):
        (run.path / name).write_bytes(content)
        try:
            again = Run.open(run.path)
            scores = again.scores()
        except ValueError:
            continue
        kept = {key: scores[key] for key in before[1]}
        assert (again.config.settings(), kept) == before


def test_equal_models_are_equal_files(run, tmp_path):
    model = TrainedModel.load(run.model_path)
    contents = set()
    for name in "abcdefgh":
        model.save(tmp_path / name)
        contents.add((tmp_path / name).read_bytes())
    assert len(contents) == 1


def test_a_changed_digit_is_named_with_a_way_out(run):
    path = run.path / "scores.json"
    path.write_text(path.read_text().replace("0.123456", "0.923456"))
    with pytest.raises(DamagedFileError, match=r"scores\.json must be .* delete the line"):
        run.scores()
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "checksum" not in line))
    assert run.scores()["mig"]["value"] == 0.923456


def with_metadata(path, **changes):
    """The model file, whole and with a right checksum, whose metadata say something else."""
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["isavae"]) | changes
    metadata = {name: value for name, value in metadata.items() if value != "absent"}
    about = {"isavae": json.dumps({**metadata, "checksum": "00000000"})}
    return sealed(save(load_file(path), about))


WRONG = ["absent", None, "text", -1, 0, 2.5, 1 << 40, [], {}, [1], [1, 2, 3], [1 << 40] * 3]
WRONG += [[65536] * 3, {"a": 1}, True]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize("name", ["config", "shape", "step", "steps", "preprocessing", "scores"])
def test_a_model_file_that_says_something_else_is_read_or_refused(whole, tmp_path, name, wrong):
    path = tmp_path / "model.safetensors"
    path.write_bytes(with_metadata(whole.model_path, **{name: wrong}))
    with suppress(ValueError):
        model = TrainedModel.load(path)
        assert name not in ("config", "shape")
        assert score_lines(model.scores) == []
        assert model.save_pretrained(tmp_path / "folder")


@pytest.mark.parametrize(
    "scores",
    [
        [1], 1, "text", {"mig": [1]}, {"mig": math.nan}, {"mig": None}, {"mig": {}},
        {"mig": {"value": "1"}}, {"mig": {"value": 1, "standard_error": []}},
        {"mig": {"value": True}},
        {"factors": 1}, {"held_out_n_images": []}, {"data": {"value": 1}},
        {"held_out_kl": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_scores_that_are_none_are_refused_wherever_they_stand(whole, run, tmp_path, scores):
    path = tmp_path / "model.safetensors"
    path.write_bytes(with_metadata(whole.model_path, scores=scores))
    with pytest.raises(ValueError, match="score"):
        TrainedModel.load(path)
    (run.path / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(DamagedFileError, match=r"scores\.json"):
        run.scores()


@pytest.mark.parametrize(
    "wrong", [{"size": [8, 8]}, {"channels": 3}, {"show": "absent"}, {"show": [9]}], ids=str
)
def test_images_that_are_read_otherwise_than_the_model_takes_them_are_refused(
    whole, tmp_path, wrong
):
    _, height, width = TrainedModel.load(whole.model_path).shape
    read = {"size": [height, width], "fit": "crop", "channels": 1, "pages": 1, "show": [0]}
    read |= {"values": {"byte": [0.0, 255.0], "deep": None}}
    path = tmp_path / "model.safetensors"
    path.write_bytes(with_metadata(whole.model_path, preprocessing=read))
    assert TrainedModel.load(path).preprocessing.show == (0,)
    changed = {name: value for name, value in (read | wrong).items() if value != "absent"}
    path.write_bytes(with_metadata(whole.model_path, preprocessing=changed))
    with pytest.raises(ValueError, match=r"preprocessing|show"):
        _ = TrainedModel.load(path).preprocessing


@pytest.mark.parametrize(
    "config",
    [{"width": 1 << 20}, {"prior": "2*9999"}, {"n_latents": 9999, "prior": "normal"}],
)
def test_a_model_file_is_no_larger_than_its_weights(whole, tmp_path, config):
    path = tmp_path / "model.safetensors"
    path.write_bytes(with_metadata(whole.model_path, config=whole.config.settings() | config))
    with pytest.raises(CorruptCheckpointError, match="must fit into"):
        TrainedModel.load(path)


@pytest.mark.parametrize(
    "damage",
    [b"\xff\xfe\n", b"[]\n", b"3\n", b'{"loss": 1}\n', b'{"step": 2, "lo', b"\n", b"[" * 999],
)
def test_lines_of_the_log_that_are_no_records_are_dropped(run, data, damage):
    path = run.path / "log.jsonl"
    before = run.log()
    path.write_bytes(path.read_bytes() + damage)
    assert run.log() == before
    longer = run.extended(run.config.model_copy(update={"steps": 5}))
    assert execute(longer, data)
    assert longer.log()[: len(before)] == before


def test_a_checkpoint_that_could_unpack_to_any_size_is_refused(run, data, tmp_path):
    with zipfile.ZipFile(run.state_path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(run.state_path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(CorruptCheckpointError, match="not compressed"):
        execute(run, data)


class Call:
    """What a pickle makes by calling something."""

    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given


def nested(value, depth=40):
    """A list of two lists, each of two lists ...: few bytes in a file, no end of parts."""
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimizer": Call(bytearray, 50_000_000)}, "nothing but tensors"),
        ({"optimizer": Call(print, "run")}, "nothing but tensors"),
        ({"optimizer": nested(0)}, "values, but has more"),
        ({"threads": 10**9}, "its threads must be 1 to 4,096"),
        ({"threads": 0}, "its threads must be"),
        ({"threads": True}, "its threads must be"),
        ({"precision": "float8"}, "it names no device and precision"),
        ({"precision": []}, "unhashable"),
        ({"device": None}, "it names no device and precision"),
        ({"step": "many"}, "its step must be 0 to"),
        ({"model": {}}, "Error.s. in loading"),
        (None, "device"),
    ],
    ids=[
        "bytearray",
        "call",
        "nested",
        "threads",
        "none",
        "true",
        "float8",
        "list",
        "null",
        "step",
        "model",
        "device",
    ],
)
def test_a_forged_checkpoint_takes_no_memory_and_is_refused(run, data, change, said):
    saved = torch.load(run.state_path, weights_only=True)
    if change is None:
        del saved["device"]
    torch.save(saved | (change or {}), run.state_path)
    longer = run.extended(run.config.model_copy(update={"steps": 5}))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptCheckpointError, match=said):
            execute(longer, data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_forged_moments_are_refused(run, data, name):
    saved = torch.load(run.state_path, weights_only=True)
    held = next(iter(saved["optimizer"]["state"].values()))
    held[name] = torch.zeros(2, 3, 5)
    torch.save(saved, run.state_path)
    longer = run.extended(run.config.model_copy(update={"steps": 5}))
    with pytest.raises(CorruptCheckpointError, match="moments must have the shape"):
        execute(longer, data)


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_forged_moments_of_a_discriminator_are_refused(data, tmp_path, name):
    objective = {"name": "factor-vae", "discriminator_width": 4}
    run = Run.create(tmp_path / "run", RunConfig.parse(CONFIG | {"objective": objective}))
    execute(run, data)
    saved = torch.load(run.state_path, weights_only=True)
    next(iter(saved["companion"]["_extra_state"]["state"].values()))[name] = torch.zeros(2, 3)
    torch.save(saved, run.state_path)
    longer = run.extended(run.config.model_copy(update={"steps": 5}))
    with pytest.raises(CorruptCheckpointError, match="moments must have the shape"):
        execute(longer, data)


@pytest.mark.parametrize("forged", [{"betas": "x"}, {"eps": None}, {"foreach": "yes"}], ids=str)
def test_how_adam_runs_is_not_read_from_a_checkpoint(run, data, forged):
    saved = torch.load(run.state_path, weights_only=True)
    saved["optimizer"]["param_groups"][0] |= forged
    torch.save(saved, run.state_path)
    longer = run.extended(run.config.model_copy(update={"steps": 5}))
    assert execute(longer, data)


@pytest.mark.parametrize(("name", "most"), [("config.json", 1 << 20), ("scores.json", 1 << 24)])
def test_a_json_file_beyond_its_bound_is_not_read(run, name, most):
    with (run.path / name).open("wb") as file:
        file.truncate(most + 1)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedFileError, match=f"no more than {most:,} bytes"):
            Run.open(run.path).scores()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_record_of_the_log_beyond_its_bound_is_left_out(run):
    whole = run.log()
    with (run.path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 5, "loss": [0.5] * 250_000}) + "\n")
    assert run.log() == whole


def test_a_record_of_the_largest_prior_is_read_again(tmp_path):
    number, tree = -(math.pi**-30), f"2[{', '.join(['2[1.5[z]]'] * 9_999)}]"
    prior = {"prior": tree, "learn_exponents": True, "width": 1, "steps": 1, "batch_size": 2}
    wide = Run.create(tmp_path / "wide", RunConfig.parse({"data": DATA} | prior))
    with (wide.path / "log.jsonl").open("w") as file:
        values = prior_of(wide.config).learned_values()
        assert len(values) == 19_998
        file.write(json.dumps({"step": 1} | dict.fromkeys(values, number)) + "\n")
    assert wide.log()[0]["p1"] == number


def test_settings_that_could_not_be_read_again_are_refused_before_training(tmp_path):
    points = [[step, 1 / 3] for step in range(20_000)]
    config = RunConfig.parse({"objective": {"name": "beta-vae", "schedule": points}})
    with pytest.raises(ValueError, match=r"at most 1,048,576 bytes .*: shorten the schedule"):
        check_trainable(config)
    with pytest.raises(ValueError, match=r"config\.json would have"):
        Run.create(tmp_path / "run", config)
    assert not list(tmp_path.rglob("*.json"))


def test_facts_of_a_model_that_could_not_be_read_again_are_not_written(run, tmp_path):
    model = run.load_model()
    metadata = run.metadata() | {"scores": {"exponents": ["x" * (1 << 25)]}}
    with pytest.raises(FileTooLargeError, match="leave out the scores"):
        save_model(model, tmp_path / "model.safetensors", metadata)
    assert not list(tmp_path.glob("*.safetensors"))


# Settings


@pytest.mark.parametrize(
    "wrong", [3, None, "", [], {}, "nothing", {"name": 3}, float("nan"), -1, 1e400, True]
)
@pytest.mark.parametrize("name", [*RunConfig.model_fields, "nothing"])
def test_settings_of_a_wrong_type_are_refused_or_can_be_trained(name, wrong):
    with suppress(ValueError):
        check_trainable(RunConfig.parse(merge_settings({"width": 8}, {name: wrong})))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("wrong", [-1, 0, "text", None, [], 1e400, float("nan"), 1 << 62])
def test_parameters_of_a_wrong_type_are_refused_or_can_be_trained(objective, wrong):
    for parameter in fields(OBJECTIVES[objective]):
        settings = {"width": 8, "objective": {"name": objective, parameter.name: wrong}}
        with suppress(ValueError):
            fresh_state(RunConfig.parse(settings | {"prior": "2*3"}), (1, 4, 4))


@pytest.mark.parametrize("text", ["2*100000000000", "2*" + "9" * 5000, "[" * 5000, "2[" * 5000])
def test_priors_of_absurd_size_are_refused(text):
    with pytest.raises(ValueError):
        check_trainable(RunConfig.parse({"prior": text}))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{after}: &{after} [{','.join(['*' + before] * 9)}]\n"
            for before, after in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a [*a]",
        "[" * 5000,
        "{a: " * 5000,
        "- " * 5000 + "1",
        "seed: " + "9" * 5000,
        "seed: !!timestamp x",
        "seed: !!bool x",
        "seed: !!float x",
        "seed: !!python/name:os.system",
        "? [1]\n: 2",
        "x" * (2 << 20),
    ],
)  # fmt: skip
def test_yaml_of_absurd_size_or_depth_is_refused(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        RunConfig.from_file(path)
    assert len(str(caught.value)) < 600
    with pytest.raises(ValueError) as caught:
        Study.parse(text)
    assert len(str(caught.value)) < 600


def test_weights_that_are_swapped_after_their_check_are_not_loaded(run, whole, monkeypatch):
    other = run.path / "other.safetensors"
    weights = {name: torch.zeros_like(v) for name, v in load_file(run.model_path).items()}
    other.write_bytes(save(weights))
    check = model_file._read_metadata

    def swapped(*given):
        found = check(*given)
        other.replace(run.model_path)
        return found

    monkeypatch.setattr(model_file, "_read_metadata", swapped)
    loaded = TrainedModel.load(run.model_path).vae.state_dict()
    torch.testing.assert_close(loaded, load_file(whole.model_path))
    assert not any(v.any() for v in load_file(run.model_path).values())


def test_a_checkpoint_that_is_swapped_after_its_check_is_not_loaded(run, whole, monkeypatch):
    before = torch.load(whole.state_path, weights_only=True)["step"]
    check = torch_file._check_stored

    def swapped(file, path):
        check(file, path)
        (run.path / "next").write_bytes(b"another file")
        (run.path / "next").replace(path)

    monkeypatch.setattr(torch_file, "_check_stored", swapped)
    assert execution._read_checkpoint(run)["step"] == before


@pytest.mark.parametrize(
    "number", ["1" + ":1" * 50_000, "0x" + "f" * 6_000, "9" * 5_000, "0b" + "1" * 9_999]
)
@pytest.mark.parametrize("place", ["width: {}", "objective: {{gamma: [1, {}]}}", "? {}\n: 1"])
def test_a_number_that_takes_long_or_cannot_be_shown_is_refused_with_its_line(
    tmp_path, number, place
):
    text = f"name: a\n{place.format(number)}\n"
    (tmp_path / "a.yaml").write_text(text)
    begin = time.process_time()
    for read in (lambda: read_mapping(tmp_path / "a.yaml"), lambda: LocatedYaml(text, "a.yaml")):
        with pytest.raises(ValueError, match="line 2: a number must have at most 400 characters"):
            read()
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    "text", ["objective: !!set {a, b}", "objective: [1]", "objective: 2001-01-01"]
)
def test_an_objective_of_another_kind_is_refused(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match="objective"):
        RunConfig.parse(merge_settings(read_mapping(tmp_path / "a.yaml"), {"beta": 2}))


def test_the_name_of_a_data_set_takes_no_time(tmp_path):
    begin = time.process_time()
    for name in ("a" + " " * 9_000 + "[x", "a" * 20_000, "/a" + " " * 9_000 + "]"):
        with pytest.raises(ValueError, match=r"must have at most 10,000 char|must be one of dspr"):
            load(name)
    assert RunConfig(data="a" * 9_999).without_folders().data == "a" * 9_999
    with pytest.raises(ValueError, match="data: string should have at most 10000 characters"):
        RunConfig.parse({"data": "a" * 10_001})
    assert time.process_time() - begin < 2


def test_names_that_are_no_text_are_refused_in_plain_words(tmp_path):
    (tmp_path / "a.yaml").write_text("yes: 1\n")
    with pytest.raises(ValueError, match=r"names of settings must be text; True in .*a\.yaml is"):
        RunConfig.from_file(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 1\nsteps: 2\nseed: 3\n", 3),
        ('{"seed": 1,\n "seed": 3}', 2),
        ("objective:\n  name: beta-vae\n  beta: 1\n  beta: 4\n", 4),
        ("'seed': 1\n# a note\nseed: 3\n", 3),
    ],
)
def test_a_setting_that_stands_twice_is_refused_with_its_line(tmp_path, text, line):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    name = "beta" if "beta" in text else "seed"
    with pytest.raises(ValueError, match=f"line {line}: a name must occur once; '{name}' occurs"):
        RunConfig.from_file(path)
    with pytest.raises(ValueError, match=f"line {line}: a name must occur once; '{name}' occurs"):
        Study.parse(text)


MANY = ["width", "steps", "batch_size", "learning_rate", "lowest_exponent", "beta", "prior_scale"]


@pytest.mark.parametrize(
    "block",
    [
        "seeds: 1000000000\nruns: [{model: vae}]",
        "runs: [{model: vae, seeds: 1000000000}]",
        "runs:\n- " + "\n  ".join(f"{name}: [{','.join('1' * 50)}]" for name in MANY),
        "runs: [{width: [[[[[[[[]]]]]]]]}]",
        "resources: {cpus: 1000000000}\nruns: [{model: vae}]",
    ],
)  # fmt: skip
def test_studies_of_absurd_size_are_refused(block):
    with pytest.raises(ValueError) as caught:
        Study.parse(f"name: many\n{block}")
    assert len(str(caught.value)) < 600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("name", ["config.json", "scores.json", "log.jsonl", "work.json"])
def test_pipes_in_a_run_are_not_waited_for(run, name):
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    table = results(run.path.parent)
    assert table["status"].to_list() == ["done" if name == "log.jsonl" else "corrupt"]
    if name != "work.json":
        with pytest.raises((ValueError, OSError), match=r"not a regular file|must hold a config"):
            opened = Run.open(run.path)
            opened.log()
            opened.scores()
