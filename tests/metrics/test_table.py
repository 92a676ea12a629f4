"""The table of scores: what holds for all of them, and what `evaluate` promises."""

import html
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jaxtyping
import polars as pl
import pytest
import torch
from torch.distributions import Normal

from isavae.data import FactorGrid
from isavae.metrics import METRICS, Codes, NotApplicable, Score, binned_mig, evaluate
from tests import hand_made

# Scores of unit-free definitions; the rest depends on the latents' scale and says so.
SCALE_FREE = (
    "mig binned_mig subspace_mig dci_mig mig_sup modularity med dci explicitness factor_vae_metric "
    "irs gaussian_total_correlation latent_mutual_information agreement"
).split()


def given(codes):
    latents = codes.latents
    halves = [list(range(latents // 2)), list(range(latents // 2, latents))]
    others = [Codes(codes.mean.flip(1) ** 3, codes.log_std, codes.grid)]
    return {"prior": Normal(0.0, 1.0), "subspaces": halves, "others": others}


def permuted(codes, order):
    return Codes(codes.mean[:, order], codes.log_std[:, order], codes.grid)


@pytest.fixture(scope="module")
def whole():
    codes = hand_made.overlapping()
    return codes, evaluate(codes, "all", **given(codes))


def test_every_score_lies_in_its_range_and_names_its_definition(whole):
    _, table = whole
    assert {*METRICS} == {*(row.name for row in table), *table.skipped}
    assert "twice as many" in table.skipped.pop("few_label_accuracy")
    assert not table.skipped
    for row in table:
        assert isinstance(row.score, Score)
        if row.metric.range.startswith("[0, 1]"):
            assert 0 <= row.score.value <= 1, row.name
        if {"factors", "two factors"} & set(row.metric.needs):
            assert row.score.parameters["factors"] == ("a", "b", "c"), row.name
        assert row.metric.source, row.metric.caveat


def test_scores_do_not_depend_on_the_order_of_latents(whole):
    codes, table = whole
    inputs = given(codes)
    order = [3, 1, 0, 2]
    back = [order.index(j) for j in range(4)]
    inputs["subspaces"] = [[back[j] for j in subspace] for subspace in inputs["subspaces"]]
    other = evaluate(permuted(codes, order), "all", **inputs)
    for row in table:
        # The draws of a score that samples are others; ties between splits break another way.
        tolerance = 6 * (row.score.standard_error or 0) + (0.05 if row.name == "dci" else 1e-4)
        assert other[row.name].value == pytest.approx(row.score.value, abs=tolerance), row.name


def test_scale_free_scores_do_not_depend_on_scale_shift_and_sign(whole):
    codes, table = whole
    scale = torch.tensor([-2.0, 0.5, 3.0, 1.0]).double()
    changed = Codes(codes.mean * scale - 3, codes.log_std + scale.abs().log(), codes.grid)
    other = evaluate(changed, SCALE_FREE, **given(codes))
    for name in SCALE_FREE:
        # A sign swaps which edge a bin includes.
        tolerance = 6 * (table[name].standard_error or 0) + (0.03 if name != "mig" else 1e-4)
        assert other[name].value == pytest.approx(table[name].value, abs=tolerance), name


def test_what_codes_do_not_allow_is_skipped_with_the_reason():
    codes = hand_made.overlapping()
    bare = evaluate(Codes(codes.mean, None), "all")
    assert {row.metric.family for row in bare} == {"unsupervised"}
    assert bare.skipped["mig"] == "mig needs labels of a factor that varies."
    deterministic = evaluate(Codes(codes.mean, None, codes.grid), "information")
    assert (
        deterministic.skipped["mig"]
        == "mig needs posterior standard deviations: give `Codes` a log_std."
    )
    assert [
        row.name for row in deterministic
    ] == "binned_mig robust_mig jemmig modularity med".split()
    said = f"skipped: {deterministic.skipped['mig']}"
    assert said in str(deterministic).splitlines()
    assert said in html.unescape(deterministic._repr_html_())


def test_one_factor_is_enough_for_some():
    grid = FactorGrid(("a",), (12,))
    codes = Codes(torch.arange(12.0)[:, None], torch.full((12, 1), -3.0), grid)
    table = evaluate(codes, "information")
    assert table["mig"].value == pytest.approx(1.0, abs=1e-4)
    assert "dci_mig" in table.skipped


def test_named_scores_are_refused_not_skipped():
    codes = hand_made.overlapping()
    with pytest.raises(ValueError, match=r"udr needs codes of other runs"):
        evaluate(codes, ["mig", "udr"])
    with pytest.raises(ValueError, match=r"'migg': did you mean mig"):
        evaluate(codes, ["migg"])


def test_repeats_give_a_standard_error_to_what_has_none():
    table = evaluate(hand_made.overlapping(), ["dci", "mig"], repeats=3)
    assert table["dci"].standard_error > 0
    assert table["dci"].parameters["repeats"] == 3
    assert table["mig"].standard_error is None


def test_the_table_is_plain_json_with_every_definition(whole):
    _, table = whole
    stored = json.loads(json.dumps(table.to_dict()))
    assert stored["mig"]["parameters"] == {"factors": ["a", "b", "c"], "information": "exact"}
    assert stored["mig"]["per_factor"].keys() == {"a", "b", "c"}
    assert stored["binned_mig"]["parameters"]["bins"] == 20
    assert (
        stored["robust_mig"]["parameters"]["bins"] == stored["jemmig"]["parameters"]["bins"] == 100
    )
    assert stored["subspace_mig"]["standard_error"] > 0
    assert stored["dci"]["terms"].keys() == {"completeness", "informativeness"}
    assert str(table).splitlines()[0].split()[0] == "mig"


def test_partial_grids_with_unknown_labels_are_scored():
    codes = hand_made.unbalanced()
    table = evaluate(codes, ["information", "supervised"])
    assert not {"mig", "dci", "irs", "sap"} & set(table.skipped)
    assert all(0 <= row.score.value <= 1 for row in table)


def test_the_page_of_scores_has_every_score_as_the_table_has_it():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name, metric in METRICS.items():
        rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        row = rows[0].replace("\\|", "|")
        for part in (metric.range, metric.better, metric.source, metric.caveat):
            assert part in row
        assert f"**{name}" in page or f", {name}" in page


def test_only_what_the_codes_do_not_allow_is_skipped(monkeypatch):
    def broken(codes):
        raise ValueError("a fault in the score, not in the codes")

    monkeypatch.setitem(METRICS, "irs", replace(METRICS["irs"], function=broken))
    with pytest.raises(ValueError, match="a fault in the score"):
        evaluate(hand_made.overlapping(), "supervised")
    labelled = hand_made.overlapping()
    unlabelled = Codes(labelled.mean, labelled.log_std)
    assert "irs" in evaluate(unlabelled, "supervised").skipped
    with pytest.raises(NotApplicable, match="irs needs labels"):
        evaluate(unlabelled, "irs")


def test_functions_of_ones_own_are_scores_beside_the_others():
    codes = hand_made.perfect()

    def spread(codes):
        return codes.mean.std()

    def seeded(codes, seed, factors):
        return Score(float(seed), terms={"factors": float(len(factors))})

    table = evaluate(codes, ["active_units", spread, seeded], factors=["a", "b"], seed=3, repeats=2)
    assert [row.name for row in table] == ["active_units", "spread", "seeded"]
    assert table["spread"].value == pytest.approx(float(codes.mean.std()))
    assert table["seeded"].value == 3.5
    assert table["seeded"].terms == {"factors": 2}
    assert json.loads(json.dumps(table.to_dict()))["spread"]["source"].endswith("test_table.spread")
    assert evaluate(codes, spread)["spread"].value == table["spread"].value
    with pytest.raises(ValueError, match="'spread' is taken"):
        evaluate(codes, [spread, spread])

    def failing(codes):
        raise ValueError("a fault of the function")

    with pytest.raises(ValueError, match="a fault of the function"):
        evaluate(codes, [failing])


def test_functions_keep_what_they_bind_and_their_defaults():
    codes = hand_made.perfect()

    def shifted(codes, seed, prior=2.0):
        return seed + prior

    assert evaluate(codes, shifted, seed=3)["shifted"].value == 5
    bound = partial(shifted, seed=7)
    bound.__name__ = "bound"
    assert evaluate(codes, bound, seed=3, repeats=2)["bound"].value == 9


def test_functions_without_a_name_have_that_of_what_they_are(monkeypatch):
    class Mean:
        def __call__(self, codes, power=1):
            return codes.mean.mean() ** power

    codes = hand_made.perfect()
    named = [
        partial(binned_mig, bins=5),
        partial(binned_mig, bins=7),
        partial(Mean(), power=2),
        Mean(),
    ]
    found = {row.name: row.score.value for row in evaluate(codes, named)}
    assert [*found] == ["binned_mig(bins=5)", "binned_mig(bins=7)", "Mean(power=2)", "Mean"]
    assert found["Mean(power=2)"] == pytest.approx(found["Mean"] ** 2)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users run it
    with pytest.raises(TypeError, match="a function of codes, but is 3: METRICS"):
        evaluate(codes, [3])


def test_the_table_as_frames_and_as_html(whole):
    _, table = whole
    for frame in (table.to_pandas(), table.to_polars()):
        assert list(frame["score"]) == [row.name for row in table]
        assert list(frame["value"]) == [row.score.value for row in table]
        assert frame["standard_error"][list(frame["score"]).index("sap")] > 0
    assert table.to_polars()["standard_error"].null_count() > 0
    page = table._repr_html_()
    assert page.count("<tr>") == len(table) + 1
    assert "<td>mig</td>" in page
    assert "H(z|v)" in page


def test_a_column_of_none_keeps_its_type():
    """Predictor-free scores have no standard error; the column is one of numbers all the same."""
    table = evaluate(hand_made.perfect(), ["modularity"])
    assert table["modularity"].standard_error is None
    frame = table.to_polars()
    assert dict(zip(frame.columns, frame.dtypes, strict=True)) == {
        name: pl.Float64 if name in ("value", "standard_error", "seconds") else pl.String
        for name in frame.columns
    }


def test_html_is_escaped():
    def score(codes):
        return 1.0

    score.__name__ = "<b>"
    assert "<td>&lt;b&gt;</td>" in evaluate(hand_made.perfect(), [score])._repr_html_()
