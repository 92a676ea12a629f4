"""Study files: what they expand to, stable names, and a sentence with the line for every typo."""

import re

import pytest

from isavae.runs import RunConfig
from isavae.studies import Study, run_id, shipped_studies
from isavae.studies.planned_run import combinations

pytestmark = pytest.mark.system

HEAD = "name: mine\n"


def test_a_block_is_the_product_of_its_lists_and_seeds():
    study = Study.parse(
        HEAD + "seeds: [3, 5]\nruns:\n- {model: [beta-vae, isa-vae], beta: [1, 2], steps: 9}\n"
    )
    seen = [(r.config.prior, r.config.objective.beta, r.config.seed) for r in study.runs]
    assert seen == [(p, b, s) for p in ("normal", "isa") for b in (1, 2) for s in (3, 5)]


def test_a_schedule_is_one_value_and_a_list_of_schedules_several():
    """Numbers of other settings stand in lists of any depth."""
    falling, rising = [[0, 16], [50, 1]], [[0, 0], [20, 1]]
    text = """
    name: mine
    settings: {data: dsprites16, steps: 60}
    seeds: 1
    runs:
      - objective: {name: beta-vae, schedule: %s, beta: [[1], [[2]]]}
    """
    one = Study.parse(text % falling).runs
    assert [run.config.objective.schedule for run in one] == [((0, 16.0), (50, 1.0))] * 2
    assert [run.config.objective.beta for run in one] == [1, 2]
    two = Study.parse(text % [falling, rising]).runs
    starts = [(run.config.objective.schedule[0][1], run.config.objective.beta) for run in two]
    assert starts == [(16, 1), (16, 2), (0, 1), (0, 2)]
    with pytest.raises(ValueError, match="schedule"):
        Study.parse(text % [0, 16])


def test_lists_under_zip_go_together_and_multiply_with_the_others():
    block = {"zip": {"prior": ["a", "b"], "learning_rate": [1, 2]}, "beta": [7, 8]}
    chosen = [(c["prior"], c["learning_rate"], c["beta"]) for c in combinations(block)]
    assert chosen == [("a", 1, 7), ("a", 1, 8), ("b", 2, 7), ("b", 2, 8)]


def test_mappings_expand_inside():
    block = {"objective": [{"name": "x", "gamma": [1, 2]}, {"name": "y"}]}
    chosen = [c["objective"] for c in combinations(block)]
    assert chosen == [{"name": "x", "gamma": 1}, {"name": "x", "gamma": 2}, {"name": "y"}]


def test_a_block_overrides_the_settings_and_they_the_model():
    study = Study.parse(
        HEAD + "settings: {model: beta-vae, beta: 2, learning_rate: 0.5}\n"
        "runs: [{}, {learning_rate: 0.25}, {beta: 3}]"
    )
    assert [(r.config.objective.beta, r.config.learning_rate) for r in study.runs] == [
        (2.0, 0.5),
        (2.0, 0.25),
        (3.0, 0.5),
    ]


def test_equal_runs_are_one():
    study = Study.parse(HEAD + "runs:\n- model: vae\n- {model: beta-vae, beta: [1, 2]}")
    assert [run.line for run in study.runs] == [3, 4]


def test_seeds_come_in_turn():
    study = Study.parse(HEAD + "seeds: 2\nruns:\n- beta: [1, 2]")
    turns = [(run.config.seed, run.config.objective.beta) for run in study.runs_by_seed()]
    assert turns == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_another_data_set_takes_the_place_of_that_of_the_settings():
    study = Study.parse(HEAD + "settings: {data: dsprites16}\nruns: [{}, {data: dsprites32}]")
    assert [run.config.data for run in study.on_data("dsprites").runs] == ["dsprites", "dsprites32"]


def test_names_come_from_the_content_alone():
    # Written down once: a change would orphan every finished run of every study.
    assert run_id(RunConfig(prior="6*4", steps=40, seed=7)) == "beta-vae-s07-86aa27e13bd6"
    assert run_id(RunConfig(device="cpu")) == run_id(RunConfig(device="auto"))
    assert run_id(RunConfig(seed=1)) != run_id(RunConfig(seed=2))


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_are_valid(name):
    study = Study.from_file(name)
    assert study.name == name
    assert study.about
    assert len({run.id for run in study.runs}) == len(study.runs) > 0


def test_the_cars_are_studied_with_learned_exponents_as_figure_6_shows():
    learned = [run for run in Study.from_file("cars3d").runs if run.config.learn_exponents]
    assert {run.config.objective.beta for run in learned} == {1, 2, 3, 4}
    assert len(learned) == 4 * 35


MISTAKES = {
    "runz: []": "line 2: 'runz' is not a name that a study has; did you mean 'runs'?",
    "runs:\n- modle: vae": "line 3: 'modle' is not a name that a run has; did you mean 'model'?",
    "runs:\n- model: vae\n- model: isa-vea": "line 4: a model must be .*: did you mean isa-vae",
    "runs:\n- learning_rate: 1\n  batch_size: x": "line 4: batch_size",
    "settings:\n  learning_rate: -1\nruns: [{}]": "line 3: learning_rate: .* greater than 0",
    "runs:\n- objective:\n    name: beta-vea": "line 3: .*beta-vae",
    "runs:\n- prior: 2.1[": "line 3: .*tree",
    "runs:\n- network: mpl": "line 3: a network must be one of",
    "runs:\n- zip: {seed: [1, 2], width: [1]}": "line 3: lists under zip must have one length",
    "runs:\n- zip: 3": "line 3: zip must map names to lists",
    "runs:\n- zip: [1, 2]": "line 3: zip must map names to lists",
    "runs:\n- zip: {}": "line 3: zip must map names to lists",
    "seeds: 0\nruns: [{}]": "line 2: seeds must be a number or a list of numbers; got 0",
    "runs:\n- learning_rate: 1\n  seeds: [a]": "line 4: seeds must be",
    "runs:\n- seed: 3": "line 3: 'seed' is not a name that a run has; did you mean 'seeds'",
    "runs:\n- steps: 3\n  epochs: 4": "line 3: give steps or epochs, not both",
    "runs: [{}]\nresources:\n  cpu: 1": "line 4: 'cpu' .* did you mean 'cpus'",
    "runs: [{}]\nresources:\n  memory: lots": "line 4: resources",
    "runs: [{}]\nresources:\n  cpus: 0": "line 4: resources: .*greater than or equal to 1",
    "runs: [{}]\nresources:\n  gpus: -1": "line 4: resources: .*greater than or equal to 0",
    "runs: [{}]\nretries: -1": "line 3: retries: .*greater than or equal to 0",
    "runs: [{}]\nimages: 0": "line 3: images: .*greater than or equal to 1",
    "runs:\n- seeds: [0, -1]": "line 3: seeds must be",
    "runs:\n- seeds: [true]": "line 3: seeds must be",
    "settings:\n  zip: {learning_rate: [1]}\nruns: [{}]": "line 3: 'zip' is not a name that a ",
    "runs:\n- steps: 3\n  zip:\n    batch_size: [1, -1]": "line 5: batch_size: .*greater than or",
    "runs:\n- prior: isa\n  objective: {kl_estimator: analytic}": "line 4: an analytic KL needs",
    "runs: [{}]\nruns: [{}]": "line 3: a name must occur once",
    "runs: []": "line 2: runs",
    "runs:\n- beta: [1, 2": "line 3: ",
    "about: x": "must have 'runs'",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_typo_is_one_sentence_with_its_line(mistake):
    with pytest.raises(ValueError) as caught:
        Study.parse(HEAD + mistake, "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml, line ")
    assert re.search(MISTAKES[mistake], message), message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["a\\nb", "a\\eb", "a\\u200fb"])
def test_the_name_of_a_study_is_one_line(name):
    with pytest.raises(ValueError, match=r"my\.yaml, line 1: name: .*a name must be one line"):
        Study.parse(f'name: "{name}"\nruns: [{{}}]', "my.yaml")


@pytest.mark.parametrize("text", ["", "- a", "just words", "name: [\x00"])
def test_what_is_no_study_is_refused(text):
    with pytest.raises(ValueError, match=r"my\.yaml"):
        Study.parse(text, "my.yaml")


def test_data_that_do_not_exist_or_do_not_fill_a_batch_are_named_with_their_line():
    few = "dsprites16[shape=0, scale=0, orientation=0, posX=0]"
    for settings in ("data: dsprits", f'data: "{few}", batch_size: 33'):
        study = Study.parse(HEAD + f"runs:\n- {{{settings}}}", "my.yaml")
        with pytest.raises(ValueError, match=r"my\.yaml, line 3: "):
            study.check_data()


def test_an_unknown_study_lists_those_that_ship():
    for name in ("nowhere.yaml", "../shipped/smoke"):
        with pytest.raises(ValueError, match=r"one of .*smoke"):
            Study.from_file(name)


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="cuda"):
        Study.parse(HEAD + "runs: [{device: cuda}]").check_devices()
