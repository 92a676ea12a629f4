"""Files of a run with one bit flipped, cut or emptied are refused with a sentence."""

import random
import shutil

import pytest
import torch
from safetensors.torch import load_file

from isavae.data import load
from isavae.files import DamagedFileError
from isavae.runs import CorruptCheckpointError, Run, RunConfig, TrainedModel, execute

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
CONFIG = {"data": DATA, "prior": "2.1[2.2*2, 2.2*2]", "steps": 4, "batch_size": 32, "width": 16}
FLIPS = 60


@pytest.fixture(scope="module")
def data():
    return load(DATA)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    run = Run.create(RunConfig.parse(CONFIG), tmp_path_factory.mktemp("damage") / "run")
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


def test_a_changed_digit_is_named_with_a_way_out(run):
    path = run.path / "scores.json"
    path.write_text(path.read_text().replace("0.123456", "0.923456"))
    with pytest.raises(DamagedFileError, match=r"scores\.json must be .* delete the line"):
        run.scores()
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "checksum" not in line))
    assert run.scores()["mig"]["value"] == 0.923456
