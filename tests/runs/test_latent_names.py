"""Names that a user gives to latents: what may be one, and where they stay."""

import json
import shutil

import pytest
import torch

from isavae.files import DamagedFileError
from isavae.report import RunFigures
from isavae.runs import Run, RunConfig, TrainedModel, execute, name_latents, names_of

pytestmark = pytest.mark.system
DATA = "dsprites16[shape=heart, scale=0, orientation=0]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = RunConfig(data=DATA, prior="2.1[2.2*2, z]", width=8, steps=2, batch_size=16)
    run = Run.create(tmp_path_factory.mktemp("names") / "run", config)
    execute(run)
    return run


@pytest.fixture
def run(trained, tmp_path):
    return Run.open(shutil.copytree(trained.path, tmp_path / "run"))


def test_names_are_kept_beside_the_model_and_go_where_it_goes(run, tmp_path):
    assert names_of(run.path) == ["z1", "z2", "z3"]
    assert name_latents(run.path, {"z3": " slant "}) == ["z1", "z2", "slant"]
    assert name_latents(run.path, {"z1": "$x$"}) == ["$x$", "z2", "slant"]
    model = TrainedModel.from_run(run)
    assert model.names == ["$x$", "z2", "slant"]
    model.save_pretrained(tmp_path / "shared")
    assert TrainedModel.from_pretrained(tmp_path / "shared").names == model.names
    assert "| z1 | \\$x\\$ |" in (tmp_path / "shared" / "README.md").read_text()
    assert name_latents(run.path, {"z1": ""}) == ["z1", "z2", "slant"]


def test_names_stay_when_a_run_goes_on_and_are_not_those_of_another_model(run, tmp_path):
    name_latents(run.path, {"z3": "slant"})
    execute(run.extended(run.config.model_copy(update={"steps": 3})))
    assert TrainedModel.from_run(Run.open(run.path)).names[2] == "slant"
    other = Run.create(tmp_path / "other", run.config.model_copy(update={"seed": 1}))
    execute(other)
    shutil.copy(run.path / "model.names.json", other.path)
    with pytest.warns(UserWarning, match="of another model and is left aside"):
        assert TrainedModel.from_run(other).names[2] == "z3"
    with pytest.warns(UserWarning, match="of another model"):
        assert name_latents(other.path, {"z1": "x"}) == ["x", "z2", "z3"]
    assert TrainedModel.from_run(other).names[0] == "x"


def test_a_model_that_is_saved_over_named_ones_has_its_own_names(run, tmp_path):
    file = tmp_path / "a.safetensors"
    model = TrainedModel.from_run(run)
    model.save(file)
    name_latents(file, {"z1": "old"})
    model.facts["names"] = {"z1": "new"}
    model.save(file)
    assert TrainedModel.load(file).names[0] == "new"


def test_damaged_names_leave_the_model_open(run):
    name_latents(run.path, {"z3": "slant"})
    file = run.path / "model.names.json"
    file.write_text(file.read_text().replace("slant", "other"))
    with pytest.warns(UserWarning, match="have no names meanwhile"):
        assert TrainedModel.from_run(run).names[2] == "z3"
    with pytest.raises(DamagedFileError, match="damaged or was changed"):
        name_latents(run.path, {"z1": "x"})


@pytest.mark.parametrize("names", [{"z9": "a"}, {"z1": 7}, {"z1": "a", "z2": "a"}, ["z1"], None])
def test_names_by_hand_that_are_none_are_refused(run, names):
    name_latents(run.path, {"z3": "slant"})
    file = run.path / "model.names.json"
    content = json.loads(file.read_text()) | {"names": names}
    del content["checksum"]
    file.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="must"):
        assert TrainedModel.from_run(run).names == ["z1", "z2", "z3"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"z4": "a"}, "one of z1 to z3"),
        ({"slant": "a"}, "one of z1 to z3"),
        ({"z0": "a"}, "one of z1 to z3"),
        ({"z1": "a" * 41}, "at most 40"),
        ({"z1": "a\nb"}, "one line"),
        ({"z1": "a\u202eb"}, "one line"),
        ({"z1": "z2"}, "by number"),
        ({"z1": "z2_std"}, "by number"),
        ({"z1": "image"}, "differ"),
        ({"z1": "a", "z2": "a"}, "differ"),
        ({"z1": "a", "z2": "a_std"}, "differ"),
    ],
)
def test_what_could_be_mistaken_for_something_else_is_no_name(run, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        name_latents(run.path, given)
    assert names_of(run.path) == ["z1", "z2", "z3"]


def test_a_model_file_with_names_of_latents_that_it_has_not_is_refused(run, tmp_path):
    model = TrainedModel.from_run(run)
    model.facts["names"] = {"z7": "slant"}
    model.save(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="z1 to z3"):
        TrainedModel.load(tmp_path / "a.safetensors")


def test_figures_of_a_run_have_its_names(run):
    name_latents(run.path, {f"z{k}": f"cost {k} in $" for k in (1, 2, 3)})
    figures = RunFigures.open(run.path)
    ticks = figures.traversals().axes[0].get_yticklabels()
    assert {tick.get_text() for tick in ticks} == {rf"cost {k} in \$" for k in (1, 2, 3)}
    beside = [text.get_text() for text in figures.latents().texts]
    assert all(rf"cost {k} in \$" in beside for k in (1, 2, 3))
    assert torch.is_tensor(figures.codes.mean)
