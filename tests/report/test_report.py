"""A study's page and the paper's figures by number, from real runs."""

import json
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isavae.cli import main
from isavae.evaluation import encode_all, evaluate
from isavae.explorer.sources import open_source
from isavae.figures import learning_curves, orientation
from isavae.files import read_json, write_json
from isavae.report import (
    FIGURES,
    RunFigures,
    factor_analysis_toy,
    paper_figures,
    render,
    write_report,
)
from isavae.report.numbered_figures import learned_exponents, run_titles
from isavae.runs import Run, RunConfig, execute, moved_images
from isavae.studies import results
from tests.accessibility import complaints as found_by_axe
from tests.report_page import commands_in, cut_off, cut_off_in_print

pytestmark = pytest.mark.system

DATA = "dsprites16[shape=heart, scale=5, orientation=0, posX=::2, posY=::2]"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()


def train(path, prior, beta, seed):
    settings = {"data": DATA, "prior": prior, "objective": {"name": "beta-vae", "beta": beta},
                "width": 16, "steps": 4, "batch_size": 32, "seed": seed}  # fmt: skip
    run = Run.create(path, RunConfig.parse(settings))
    execute(run)
    model, data = run.load_model(), run_data()
    run.write_scores(evaluate(model, data, encode_all(model, data), n_images=50))


def run_data():
    from isavae.data import load

    return load(DATA)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two models of two betas, two seeds each; one run that failed."""
    root = tmp_path_factory.mktemp("reports") / "a & b"
    for prior, name in (("isa", "isa"), ("normal", "beta")):
        for beta in (1.0, 4.0):
            for seed in (0, 1):
                train(root / "runs" / f"{name}-{beta:g}-{seed}", prior, beta, seed)
    lost = root / "runs" / "lost"
    Run.create(lost, RunConfig.parse({"data": DATA, "steps": 3, "batch_size": 32}))
    (lost / "work.json").write_text(json.dumps({"failed": True, "error": "the loss is <NaN>"}))
    return root


@pytest.fixture(scope="module")
def page(study):
    return write_report(study, figures="chosen")


def test_page_needs_nothing_else(page):
    text = page.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|\#)""", text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_page_escapes_what_it_shows(page):
    text = page.read_text()
    assert "a &amp; b" in text
    assert "the loss is &lt;NaN&gt;" in text


def test_every_point_leads_to_its_run_and_ids_are_unique(page):
    text = page.read_text()
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'href="#([^"]+)"', text)
    assert set(targets) <= set(ids)
    runs = [
        f"run-{name}-{beta}-{seed}"
        for name in ("isa", "beta")
        for beta in (1, 4)
        for seed in (0, 1)
    ]
    assert set(runs) <= set(targets)


def test_page_has_figures_of_the_chosen_and_the_numbers_of_all(page, study):
    text = page.read_text()
    assert text.count('<section class="card"') == 4
    assert text.count("data:image/png;base64,") >= 12
    assert text.count("representative</span>") == 4
    for path in (study / "runs").iterdir():
        scores = Run.open(path).scores()
        if scores is not None:
            assert f"{scores['reconstruction']['value']:.2f}".replace("-", "−") in text


def test_an_empty_study_is_refused(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match="has none; run it first"):
        render(tmp_path)


def test_a_study_without_scores_still_has_a_page(study, tmp_path):
    shutil.copytree(study / "runs" / "lost", tmp_path / "runs" / "lost")
    text = render(tmp_path)
    assert "the loss is &lt;NaN&gt;" in text
    assert 'id="trade-off"' not in text


# Chromium breaks a card across pages, though that is to be avoided, if a break after something in
# it, or after the heading before the first one, is to be avoided as well.
BREAKS = """() => [...document.querySelectorAll('#figures, .card *')]
    .filter((each) => getComputedStyle(each).breakAfter.startsWith('avoid'))
    .map((each) => each.outerHTML.slice(0, 80))"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_page_opens_in_a_browser_on_a_phone_and_a_point_leads_to_its_run(page):
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
    complaints: list[str] = []
    with sync.sync_playwright() as play, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, viewport={"width": 390, "height": 800}
        )
        tab = context.new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda asked: complaints.append(asked.url)
               if not asked.url.startswith(("file:", "data:")) else None)  # fmt: skip
        tab.goto(page.as_uri())
        for width in (320, 390, 1000):
            tab.set_viewport_size({"width": width, "height": 800})
            assert cut_off(tab) == []
        assert found_by_axe(tab) == []
        tab.emulate_media(media="print")
        assert tab.evaluate(BREAKS) == []
        tab.emulate_media(media="screen")
        assert cut_off_in_print(tab) == []
        widths = tab.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) >= 12
        tab.set_viewport_size({"width": 390, "height": 800})
        assert min(widths) > 300
        link = tab.locator("svg a").first
        target = link.evaluate("a => a.href.baseVal")
        link.click()
        tab.wait_for_url(f"**{target}")
        assert tab.locator(":target").is_visible()
        context.close()
    assert complaints == []


def test_the_page_begins_with_the_result_and_ends_with_settings(page):
    text = re.sub(r"<[^>]+>", " ", re.sub(r"<style.*?</style>", "", page.read_text(), flags=re.S))
    best = results(page.parent).filter(pl.col("status") == "done")
    means = best.group_by("model", "beta").agg(pl.col("mig").mean()).sort("mig").row(-1)
    wanted = rf"Highest MIG: {means[0]},[^;<]* β = {means[1]:g}, with {means[2]:.3f} ± "
    first = re.search(wanted, text).start()
    places = [text.index(word) for word in ("Failures ", "settings at their defaults")]
    assert first < min(places)
    assert "PCA" not in text[:first]
    assert text.count("of the variance between images explained") == 4


def test_the_command_of_the_page_works_in_the_folder_of_the_study(page, monkeypatch):
    monkeypatch.chdir(page.parent)
    (command,) = commands_in(page)
    assert command[:2] == ["isavae", "explore"]
    assert open_source(Path(*command[2:])).overview == {
        "kind": "study", "title": "a & b", "first": open_source(page.parent).overview["first"]
    }  # fmt: skip
    assert str(page.parent) not in page.read_text()


def test_a_study_without_factors_has_a_table_of_kl(study, tmp_path):
    for path in (study / "runs").iterdir():
        copied = shutil.copytree(path, tmp_path / "runs" / path.name)
        if (copied / "scores.json").is_file():
            scores = read_json(copied / "scores.json")
            del scores["mig"]
            write_json(copied / "scores.json", scores)
    text = render(tmp_path, "none")
    assert "KL (nats)" in text
    assert "Highest MIG" not in text
    assert "Highest log p(x|z): " in text
    assert 'id="trade-off"' not in text


def test_learning_curves_mark_one_run_and_show_what_it_logged():
    logs = [
        [{"step": 0, "event": "start"}]
        + [{"step": s, "reconstruction": -shift - 100 / s, "kl": s / 10.0} for s in range(1, 60)]
        for shift in (5.0, 9.0)
    ]
    left, right = learning_curves(logs, marked=0).axes
    assert [line.get_color() for line in left.get_lines()] == ["#b5b5b5", "#1a1a1a"]
    assert left.get_lines()[1].get_ydata()[-1] == pytest.approx(-5 - 100 / 59)
    assert right.get_lines()[0].get_xdata()[0] == 1
    low, high = left.get_ylim()
    assert -60 < low < -9 - 100 / 59
    assert high > -5 - 100 / 59
    logs[1][30]["kl"] = 6e8  # a peak leaves room for the rest
    assert learning_curves(logs).axes[1].get_ylim()[1] < 20
    assert learning_curves([[]]).axes  # a run without a log


@pytest.mark.parametrize("number", ["3", "5a", "5b", "5c", "6", "8", "11"])
def test_figures_of_a_study(study, number, tmp_path, capsys):
    assert main(["figure", number, str(study), "--out", str(tmp_path)]) == 0
    names = capsys.readouterr().out.split()
    assert names
    for name in names:
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000


def test_runs_of_figure_3_are_named_by_what_they_are(study):
    ((_, figure),) = paper_figures("3", *(study / "runs" / f"isa-4-{seed}" for seed in (0, 1)))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"prior isa\nbeta-vae, β = 4, seed {seed}" for seed in (0, 1)]


def test_figure_3_of_a_study_has_a_run_of_each_prior(study):
    ((_, figure),) = paper_figures("3", study)
    titles = [axes.get_title().partition("\n")[0] for axes in figure.axes]
    assert titles == ["prior normal", "prior isa"]


def test_titles_of_runs_say_what_tells_them_apart():
    gamma = {"prior": "normal", "objective": {"name": "factor-vae", "gamma": 6.0}}
    settings = [{}, {"width": 16}, {"width": 16, "device": "cpu"}, {"prior": "2[2*4, 4*4]"}, gamma]
    configs = {Path(f"r{k}"): RunConfig.parse(each) for k, each in enumerate(settings)}
    paper = "prior isa\nbeta-vae, β = 1, seed 0"
    assert list(run_titles(configs).values()) == [
        f"{paper}, width default",
        f"{paper}, width 16, r1",
        f"{paper}, width 16, r2",
        "prior 2[2*4, 4*4]\nbeta-vae, β = 1, seed 0",
        "prior normal\nfactor-vae, γ = 6, seed 0",
    ]


def test_titles_of_any_length_stay_within_the_figure(study):
    plane = RunFigures.open(study / "runs" / "isa-1-0").plane()
    words = "prior 2.1[2.2*4, 2.2*4, 2.2*4, 2.2*4, 2.2*4]\nbeta-tcvae, β = 1, seed 0, r$1$"
    figure = orientation({words + " " * k: plane for k in range(3)})
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.title.get_window_extent()
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert box.width <= figure.bbox.width / 3


@pytest.mark.parametrize(
    "draw", [lambda s: render(s, "all"), lambda s: list(paper_figures("3", s))]
)
def test_images_that_runs_share_are_drawn_once(study, draw, monkeypatch):
    drawn = []
    loads = moved_images.load
    monkeypatch.setattr(moved_images, "load", lambda name: drawn.append(name) or loads(name))
    draw(study)
    assert drawn == [DATA]


@pytest.mark.parametrize("number", ["5b", "5c", "6"])
def test_trade_offs_show_every_model_of_the_study(study, number):
    ((_, figure),) = paper_figures(number, study)
    labels = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert set(results(study)["model"]) <= labels


def test_figures_that_a_source_cannot_give_say_why(study):
    for number, message in [
        ("7", "there is none"),
        ("12", "figures 8 to 11"),
        ("17", "the paper has figures 1, 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            list(paper_figures(number, study))
    with pytest.raises(ValueError, match="needs a study or a run: isavae figure 6 DIR"):
        list(paper_figures("6"))


def test_a_study_without_beta_1_is_told_which_figure_shows_it(study, tmp_path, capsys):
    for path in (study / "runs").glob("*-4-*"):
        shutil.copytree(path, tmp_path / "runs" / path.name)
    assert main(["figure", "5", str(tmp_path), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "figure 5a needs runs of beta 1, but the study has 4" in said
    figure = re.search("`isavae (figure .)`", said)[1].split()
    assert main([*figure, str(tmp_path), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "figure6.png").is_file()


def test_figures_of_a_run(study):
    run = study / "runs" / "isa-1-0"
    assert [name for name, _ in paper_figures("9", run)] == [
        "figure9-latents",
        "figure9-traversals",
    ]
    ((_, tree),) = paper_figures("4", run)
    assert sum("$z" in text.get_text() for text in tree.axes[0].texts) == 20
    assert len(FIGURES) == len(set(FIGURES)) == 18


OTHERS = DATA.replace("heart", "square")


@pytest.mark.parametrize("number", ["3", "8"])
def test_numbered_figures_show_the_images_that_are_named(study, number, tmp_path, capsys):
    at = ["figure", number, str(study), "--out"]
    assert main([*at, str(tmp_path / "a")]) == 0
    assert main([*at, str(tmp_path / "b"), "--data", DATA]) == 0
    assert main([*at, str(tmp_path / "c"), "--data", OTHERS]) == 0
    for path in (tmp_path / "a").iterdir():
        same, other = (tmp_path / out / path.name for out in "bc")
        assert path.read_bytes() == same.read_bytes() != other.read_bytes()


def test_figures_without_images_refuse_others(study, tmp_path, capsys):
    at = ["figure", "5a", str(study), "--out", str(tmp_path), "--data", OTHERS]
    assert main(at) == 2
    assert "in figures 3, 8, 9, " in capsys.readouterr().err


@pytest.mark.slow
def test_all_figures_take_other_images_where_they_show_images(study, tmp_path):
    assert main(["figure", "all", str(study), "--out", str(tmp_path), "--data", OTHERS]) == 0
    drawn = {path.stem for path in tmp_path.iterdir()}
    assert {"figure1", "figure3", "figure5a", "figure8-latents"} <= drawn


def test_figures_do_not_depend_on_how_the_run_is_opened(study):
    run = study / "runs" / "beta-1-1"
    opened = RunFigures.open(run)
    data = run_data()
    model = Run.open(run).load_model()
    at_hand = RunFigures.of(model, data, encode_all(model, data))
    for one, two in zip(opened.latents().axes, at_hand.latents().axes, strict=True):
        for left, right in zip(one.images, two.images, strict=True):
            np.testing.assert_array_equal(left.get_array(), right.get_array())
    subset = RunFigures.open(run, most=20)
    assert len(subset.codes) == 20


def test_learned_exponents_are_those_that_differ_within_a_model():
    table = pl.DataFrame(
        {
            "status": ["done"] * 4 + ["failed"],
            "model": ["isa-vae"] * 2 + ["isa-learned"] * 3,
            "exponents": [[2.1, 2.2, 2.2]] * 2 + [[2.1, 1.9, 2.3], [2.1, 2.0, 1.8], None],
        }
    )
    np.testing.assert_array_equal(learned_exponents(table), [[1.9, 2.3], [2.0, 1.8]])


def test_the_fluctuation_with_beta_in_both_forms_of_the_free_energy():
    """Amplitudes of 0.446, 0.592 and 0.706 nats, from a search over q in numpy."""
    panels = dict(factor_analysis_toy())
    for name, over in (("fa-rotation", [1, 1, 1]), ("fa-rotation-replicated", [1, 1.5, 2])):
        likelihood, *energies = (np.ptp(line.get_ydata()) for line in panels[name].axes[0].lines)
        assert likelihood < 1e-9
        assert energies == pytest.approx(np.divide([0.446, 0.592, 0.706], over), abs=1e-3)


def test_toy_verbs_write_their_panels(tmp_path, capsys):
    assert main(["toy", "fa", "--out", str(tmp_path), "--format", "svg"]) == 0
    assert main(["toy", "ica", "--n", "60", "--out", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.split()) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fa-magnitude.svg",
        "fa-pruning.svg",
        "fa-rotation-replicated.svg",
        "fa-rotation.svg",
        "ica.png",
    ]
