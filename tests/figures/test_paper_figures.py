"""Figures 1, 2, 4, 5-7 and the appendix panels: what is drawn, from which numbers."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.transforms import Bbox

from isavae.distributions import LpNested, LpTree
from isavae.figures import (
    bias_by_magnitude,
    draw_tree,
    encode,
    exponent_histograms,
    ica_components,
    iso_contours,
    mig_distributions,
    pareto,
    pruning_bias,
    rotation_bias,
    summary,
    trade_off,
)
from isavae.figures.style import colour
from isavae.figures.trees import node_places
from isavae.figures.unit_balls import unit_surface


def runs(count=4):
    rng = np.random.default_rng(0)
    rows = [
        {
            "run": f"{model}-{beta}-{seed}",
            "status": "done",
            "model": model,
            "beta": beta,
            "gamma": None if beta is not None else 7.0,
            "mig": rng.uniform(),
            "reconstruction": -20 - rng.uniform(),
        }
        for model, betas in (
            ("isa-vae", (1.0, 4.0)),
            ("beta-vae", (1.0, 4.0)),
            ("factor-vae", (None,)),
        )
        for beta in betas
        for seed in range(count)
    ]
    failed = {"run": "lost", "status": "failed", "model": "isa-vae", "beta": 1.0}
    return pl.DataFrame(
        [*rows, failed], schema_overrides={"gamma": pl.Float64}, infer_schema_length=None
    )


def test_summary_is_mean_and_standard_error_over_seeds():
    table = runs()
    row = summary(table.filter(pl.col("status") == "done")).row(
        by_predicate=(pl.col("model") == "isa-vae") & (pl.col("weight") == 4.0), named=True
    )
    mig = table.filter(model="isa-vae", beta=4.0)["mig"].to_numpy()
    assert row["done"] == 4
    assert row["mig_mean"] == pytest.approx(mig.mean())
    assert row["mig_se"] == pytest.approx(mig.std(ddof=1) / 2)
    assert summary(runs(1).filter(status="done"))["mig_se"].null_count() == 5


def test_trade_off_draws_means_errors_weights_and_links():
    table = runs()
    figure = trade_off(table, link=lambda run: f"#{run}")
    axes = figure.axes[0]
    means = summary(table.filter(status="done")).filter(model="isa-vae")
    container = next(c for c in axes.containers if c.get_label() == "isa-vae")
    np.testing.assert_allclose(container[0].get_xdata(), means["reconstruction_mean"])
    np.testing.assert_allclose(container[0].get_ydata(), means["mig_mean"])
    segment = container[2][1].get_segments()[0]
    assert np.ptp(segment[:, 1]) == pytest.approx(2 * means["mig_se"][0])
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "4", "4", "7"]
    urls = [url for dots in axes.collections for url in dots.get_urls() if url]
    assert sorted(urls) == sorted(f"#{run}" for run in table.filter(status="done")["run"])
    assert "nats" in axes.get_xlabel()
    assert axes.get_legend().get_title().get_text().endswith(": β, or γ where there is no β")


def test_labels_of_neighbouring_means_stand_apart():
    near = runs().with_columns(
        mig=0.2 + 0.001 * pl.col("beta"), reconstruction=-20 + 0.01 * pl.col("beta")
    )
    figure = trade_off(near)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 4
    assert not [a for a, b in itertools.combinations(boxes, 2) if Bbox.intersection(a, b)]


def test_pareto_front_is_what_nothing_beats():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, (2, 40)).astype(float)
    expected = [
        not any((a >= u and b >= v) and (a > u or b > v) for a, b in zip(x, y, strict=True))
        for u, v in zip(x, y, strict=True)
    ]
    np.testing.assert_array_equal(pareto(x, y), expected)


def test_mig_distributions_show_every_run_of_the_asked_beta():
    table = runs()
    axes = mig_distributions(table, beta=1.0).axes[0]
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    medians = table.filter(beta=1.0, status="done").group_by("model").agg(pl.col("mig").median())
    assert labels == [f"{name}  (n = 4)" for name in medians.sort("mig")["model"]]
    drawn = np.concatenate([dots.get_offsets()[:, 0] for dots in axes.collections])
    np.testing.assert_allclose(np.sort(drawn), table.filter(beta=1.0, status="done")["mig"].sort())
    assert len(mig_distributions(table, beta=None).axes[0].collections) == 3
    equal = [table.with_columns(mig=0.2).sort("model", descending=d) for d in (False, True)]
    assert encode(mig_distributions(equal[0])) == encode(mig_distributions(equal[1]))


def test_studies_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="needs runs of beta 9, but the study has 1, 4: add"):
        mig_distributions(runs(), beta=9.0)
    with pytest.raises(ValueError, match="none of 1 is done"):
        trade_off(runs().filter(status="failed"))
    with pytest.raises(ValueError, match="there is none"):
        exponent_histograms(np.zeros((0, 3)))


def test_exponents_are_sorted_within_each_run():
    exponents = np.array([[2.2, 1.9, 2.0], [1.8, 2.4, 2.1], [2.0, 1.7, 2.3]])
    panels = exponent_histograms(exponents, bins=7).axes
    assert len(panels) == 3
    for k, axes in enumerate(panels):
        expected, edges = np.histogram(np.sort(exponents, 1)[:, k], 7, (1.7, 2.4))
        np.testing.assert_array_equal([bar.get_height() for bar in axes.patches], expected)
        np.testing.assert_allclose(axes.patches[0].get_x(), edges[0])
    assert panels[0].get_title() == "$p_{(1)}$, median 1.8"
    assert [count % 1 for count in panels[0].get_yticks()] == [0] * len(panels[0].get_yticks())


@pytest.mark.parametrize("text", ["1[z, 9*2]", "2[z, 1*2]"])
def test_unit_surface_lies_on_f_equal_one(text):
    tree = LpTree.parse(text)
    points = torch.from_numpy(np.stack(unit_surface(tree, steps=9), -1))
    np.testing.assert_allclose(LpNested(tree).norm(points), 1, atol=1e-12)
    assert points.amax() > 0.99
    assert points.amin() < -0.99


def test_iso_contours_have_a_panel_for_every_pair():
    figure = iso_contours((1.0, 9.0))
    titles = [axes.texts[0].get_text() for axes in figure.axes]
    assert titles == [f"$p_0={p0}$, $p_1={p1}$" for p0 in (1, 9) for p1 in (1, 9)]
    assert len(encode(figure, "png", dpi=40)) > 2000


def test_tree_has_an_edge_for_every_child_and_its_exponents():
    tree = LpTree.parse("2.1[z, 1.5[2.2*2, z], 3*3]")
    axes = draw_tree(tree).axes[0]
    edges = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert len(edges) == len(tree.arities) - 1
    labels = [text.get_text() for text in axes.texts]
    assert [label for label in labels if "$" not in label] == ["2.1", "1.5", "2.2", "3"]
    assert [label for label in labels if "$" in label] == [f"$z_{{{j}}}$" for j in range(1, 8)]
    places = node_places(tree)
    leaves = [place for place, arity in zip(places, tree.arities, strict=True) if arity == 0]
    assert [x for x, _ in leaves] == list(range(7))
    learned = draw_tree(tree, torch.tensor([1.0, 4.0, 5.0, 6.0])).axes[0]
    assert [text.get_text() for text in learned.texts if "$" not in text.get_text()] == list("1456")


def test_ica_panels_draw_arrows_and_mark_what_is_pruned():
    truth = torch.eye(2, dtype=torch.float64)
    pruned = torch.tensor([[1.0, 0.0], [0.0, 0.01]], dtype=torch.float64)
    figure = ica_components(
        torch.zeros(5, 2, dtype=torch.float64), {"true": truth, "pruned": pruned}
    )
    tips = [[text.xy for text in axes.texts] for axes in figure.axes]
    assert tips[0] == [(1, 0), (-1, 0), (0, 1), (0, -1)]
    assert tips[1] == [(1, 0), (-1, 0)]
    dot = figure.axes[1].lines[-1]
    assert (dot.get_marker(), dot.get_color()) == ("o", colour(1))


def test_bias_panels_draw_their_numbers():
    angles = torch.linspace(0, math.pi, 5, dtype=torch.float64)
    energies = {1.0: angles.sin(), 2.0: 2 * angles.sin()}
    for panel in (rotation_bias, pruning_bias):
        axes = panel(angles, angles * 0, energies).axes[0]
        np.testing.assert_array_equal(axes.lines[2].get_ydata(), energies[2.0])
        assert axes.get_legend().texts[0].get_text() == "log-likelihood"
        assert "nats" in axes.get_ylabel()
    axes = bias_by_magnitude(angles, [1.0, 2.0], torch.stack(list(energies.values()))).axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), energies[2.0])
