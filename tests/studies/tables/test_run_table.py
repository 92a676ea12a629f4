"""The table of runs and its summary, against directories and numbers written by hand."""

import json
import re
import shutil
import sys
from statistics import mean, quantiles, stdev

import polars as pl
import pytest

from isavae.cli.command_line import main
from isavae.files import read_json, write_json
from isavae.studies import group_columns, results, summarise
from tests.study_tables import LONG_AGO, scored, settle, write_run, write_work

pytestmark = pytest.mark.system

MIGS = [0.1, 0.2, 0.4, 0.7]


@pytest.fixture
def study(tmp_path):
    """Five finished runs, one of another model; one that failed, one begun, one corrupt."""
    for seed, value in enumerate(MIGS):
        write_run(tmp_path, f"a{seed}", scored(value, kl=seed + 0.5), seed=seed)
    write_run(tmp_path, "b0", scored(0.3), prior="isa")
    write_work(write_run(tmp_path, "a4", seed=4), failed=True, error="it diverged")
    write_run(tmp_path, "a5", seed=5)
    (write_run(tmp_path, "c0", scored(0.9)) / "scores.json").write_text('{"mig": 0.')
    settle(tmp_path / "runs" / "c0")
    return tmp_path


@pytest.fixture
def read(monkeypatch):
    """The directories that were read since it was last cleared."""
    module = sys.modules["isavae.studies.tables.run_table"]
    names, row = [], module._row
    monkeypatch.setattr(module, "_row", lambda path: names.append(path.split("/")[-1]) or row(path))
    return names


def test_one_row_a_run_with_what_it_says_of_itself(study):
    table = results(study)
    assert table["run"].to_list() == ["a0", "a1", "a2", "a3", "a4", "a5", "b0", "c0"]
    states = ["done"] * 4 + ["failed", "started", "done", "corrupt"]
    assert table["status"].to_list() == states
    assert table["model"].to_list() == ["beta-vae"] * 6 + ["isa-vae", None]
    assert table.columns.index("n_latents") < table.columns.index("kl_estimator")
    first = table.row(0, named=True)
    assert (first["mig"], first["reconstruction"], first["reconstruction_se"]) == (0.1, -20.0, 0.1)
    assert first["exponents"] == [2.1, 2.2]
    assert table["error"][4] == "it diverged"
    assert "scores.json is not JSON" in table["error"][7]


def test_the_score_kl_and_the_setting_kl_are_two_columns(tmp_path):
    for kind in ("sampled", "analytic"):
        objective = {"name": "beta-vae", "beta": 2.0, "kl_estimator": kind}
        write_run(tmp_path, kind, scored(0.5, kl=3.25), objective=objective)
    table = results(tmp_path)
    assert table["kl"].to_list() == [3.25, 3.25]
    assert table["kl_estimator"].to_list() == ["analytic", "sampled"]
    assert group_columns(table) == ["model", "kl_estimator", "beta"]


def test_the_index_is_read_while_it_holds_and_mended_where_it_does_not(study, read):
    first = results(study)
    assert len(read) == 8
    read.clear()
    assert results(study).equals(first)
    assert read == []
    write_run(study, "d0", scored(0.6), seed=9)  # added
    shutil.rmtree(study / "runs" / "a5")  # removed
    changed = study / "runs" / "a0"  # changed
    (changed / "scores.json").write_text('{"mig": 0.15}')
    settle(changed, LONG_AGO + 1)
    table = results(study)
    assert sorted(read) == ["a0", "d0"]
    assert table["run"].to_list() == ["a0", "a1", "a2", "a3", "a4", "b0", "c0", "d0"]
    assert table["mig"].to_list() == [0.15, 0.2, 0.4, 0.7, None, 0.3, None, 0.6]
    read.clear()
    assert results(study).equals(table)
    assert read == []


def test_a_removed_run_is_forgotten(study, read):
    results(study)
    shutil.rmtree(study / "runs" / "b0")
    assert "b0" not in results(study)["run"]


def test_steps_are_those_of_the_work_once_there_are_scores(tmp_path):
    write_work(write_run(tmp_path, "a", scored(0.5)), steps=12, seconds=3.5)
    write_work(write_run(tmp_path, "b"), steps=12)
    table = results(tmp_path)
    assert table["steps"].to_list() == [12, 9]
    assert table["seconds"].to_list() == [3.5, None]


def test_what_is_no_run_or_no_score_is_left_out_or_named(tmp_path):
    write_run(tmp_path, "a", scored(0.5) | {"whole": True, "factors": ["x"], "images": 64})
    write_run(tmp_path, ".hidden", scored(0.6))
    (tmp_path / "runs" / "empty").mkdir()
    table = results(tmp_path)
    assert table["run"].to_list() == ["a", "empty"]
    assert not {"whole", "factors"} & set(table.columns)
    assert table["images"].to_list() == [64.0, None]
    assert table["status"].to_list() == ["done", "corrupt"]
    assert "no config.json" in table["error"][1]


def test_settings_of_two_types_share_a_column(tmp_path):
    for name, value in {"a": 1, "b": 0.5, "c": {"x": True}}.items():
        config = write_run(tmp_path, name) / "config.json"
        config.write_text(json.dumps(read_json(config) | {"new": value}))
    assert results(tmp_path)["new"].to_list() == ["1", "0.5", '{"x": true}']
    shutil.rmtree(tmp_path / "runs" / "c")
    (tmp_path / "results-index.json").unlink()
    assert results(tmp_path)["new"].to_list() == [1.0, 0.5]


def test_an_index_that_would_be_too_large_to_be_read_is_not_written(study, monkeypatch):
    monkeypatch.setattr(sys.modules["isavae.studies.tables.run_index"], "MOST_BYTES", 100)
    assert results(study)["run"].len() == 8  # without an index, which would not be read again
    assert not (study / "results-index.json").exists()


def test_a_run_that_changed_just_now_is_read_again(study, read):
    (study / "runs" / "a5" / "log.jsonl").write_text("")  # sets the time to now
    results(study)
    read.clear()
    results(study)
    assert read == ["a5"]


@pytest.mark.parametrize("damage", [b"", b"2 nonsense", b"[]", b"[" * 100_000, "torn", "digit"])
def test_an_index_that_is_broken_is_made_anew(study, read, damage):
    table, index = results(study), study / "results-index.json"
    whole = index.read_bytes()
    changed = whole.replace(b'"mig": [0', b'"mig": [1', 1)
    assert changed != whole
    index.write_bytes({"torn": whole[:200], "digit": changed}.get(damage, damage))
    assert results(study).equals(table)
    assert len(read) == 16


def test_a_study_that_was_moved_keeps_its_index(study, read):
    table = results(study)
    moved = study.rename(study.with_name("elsewhere"))
    assert results(moved).drop("path").equals(table.drop("path"))
    assert results(moved)["path"][0] == str(moved / "runs" / table["run"][0])
    assert len(read) == 8


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("version", 0),
        ("changed", None),
        ("changed", ["now"] * 8),
        ("columns", [1]),
        ("columns.run", [None] * 8),
        ("columns.status", [{}] * 8),
        ("columns.run", ["a1"] * 8),
        ("columns.run", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("columns.status", ["done"] * 7),
        ("columns.status", ["finished"] * 8),
        ("columns.mig", [10**30] * 8),
        ("columns.error", ["\ud800"] * 8),
        ("columns.path", ["/etc"] * 8),
        ("columns.new", [{"x": 1}] * 8),
        ("columns.new", [[1.0]] * 8),
        ("columns.exponents", [["x"]] * 8),
        ("columns.exponents", [[[1.0]]] * 8),
    ],
    ids=str,
)
def test_an_index_with_a_right_checksum_holds_rows_or_is_made_anew(study, read, name, forged):
    table, path = results(study), study / "results-index.json"
    index = read_json(path)
    place, key = (index["columns"], name[8:]) if "." in name else (index, name)
    place[key] = forged
    write_json(path, index)
    assert results(study).equals(table)
    assert len(read) == 16


def test_numbers_beyond_those_of_a_table_make_no_error(tmp_path):
    config = write_run(tmp_path, "a", scored(1e400)) / "config.json"
    config.write_text(json.dumps(read_json(config) | {"seed": 10**30, "new": 10**30}))
    first = results(tmp_path)
    assert first["run"].to_list() == ["a"]
    assert results(tmp_path).equals(first)


def test_settings_and_scores_take_no_column_of_the_table(tmp_path):
    scores = scored(0.5) | {"run": {"value": 1.0}, "status": 3.0, "path": {"value": 0.0}}
    config = write_run(tmp_path, "a", scores) / "config.json"
    config.write_text(json.dumps(read_json(config) | {"run": "b", "path": "/etc", "a\ud800": 1}))
    for _ in range(2):
        (row,) = results(tmp_path).to_dicts()
        assert (row["run"], row["status"], row["mig"]) == ("a", "done", 0.5)
        assert row["path"] == f"{tmp_path}/runs/a"
        assert row["a\\ud800"] == 1


def test_a_table_that_cannot_be_kept_is_still_made(study):
    (study / "results-index.json").mkdir()
    assert len(results(study)) == 8


def test_where_a_run_was_made_tells_no_groups_apart(study):
    table = results(study)
    devices = pl.Series("device", ["cpu", "cuda"] * (len(table) // 2 + 1))[: len(table)]
    assert group_columns(table.with_columns(devices)) == group_columns(table)


def test_summaries_are_those_of_the_standard_library(study):
    row = summarise(results(study)).row(by_predicate=pl.col("model") == "beta-vae", named=True)
    low, middle, high = quantiles(MIGS, n=4, method="inclusive")
    assert (row["done"], row["failed"]) == (4, 1)
    assert row["mig_mean"] == pytest.approx(mean(MIGS))
    assert row["mig_se"] == pytest.approx(stdev(MIGS) / 2)
    assert (row["mig_q25"], row["mig_median"], row["mig_q75"]) == pytest.approx((low, middle, high))
    alone = summarise(results(study)).row(by_predicate=pl.col("model") == "isa-vae", named=True)
    assert (alone["mig_mean"], alone["mig_se"], alone["done"]) == (0.3, None, 1)
    with pytest.raises(ValueError, match=r"a score must be one of .*mig"):
        summarise(results(study), ["mgi"])
    with pytest.raises(ValueError, match="a score must be one of"):
        summarise(results(study), ["run"])
    assert None not in summarise(results(study))["model"]


def test_the_command_line_shows_the_summary_and_writes_the_runs(study, capsys):
    files = {kind: study / f"runs.{kind}" for kind in ("csv", "parquet", "json")}
    flags = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    assert main(["study", "results", str(study), "--scores", "mig", "kl", *flags]) == 0
    shown = capsys.readouterr().out
    assert "1 corrupt, 5 done, 1 failed, 1 started" in shown
    assert any("isa-vae" in line and "0.3" in line for line in shown.splitlines())
    table = results(study)
    assert pl.read_parquet(files["parquet"]).equals(table)
    for read in (pl.read_csv(files["csv"]), pl.read_json(files["json"])):
        assert read["run"].to_list() == table["run"].to_list()
        assert read["mig"].to_list() == table["mig"].to_list()
    assert pl.read_csv(files["csv"])["exponents"][0] == "2.1 2.2"


def test_a_narrow_terminal_has_a_table_per_score_and_no_cell_is_cut(study, capsys, monkeypatch):
    assert main(["study", "results", str(study)]) == 0
    piped = capsys.readouterr().out.splitlines()
    assert sum("isa-vae" in line for line in piped) == 1
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["study", "results", str(study)]) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert [line.split(": ")[-1].strip() for line in shown.splitlines() if ": " in line] == [
        "mig",
        "reconstruction",
    ]
    assert sum("isa-vae" in line for line in shown.splitlines()) == 2
