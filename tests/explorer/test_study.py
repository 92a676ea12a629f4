"""A study in the explorer: its table, and its runs as points and as a list."""

import itertools
import shutil

import polars as pl
import pytest

from isavae import studies
from isavae.explorer.study_rows import study_table
from isavae.runs import Run, TrainedModel
from isavae.studies.printed import PRINTED
from tests.accessibility import complaints
from tests.explorer_page import CHROMIUM, state, until, visit
from tests.explorer_site import serving, train_small

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer") / "study"
    run = train_small(folder / "runs" / "a0")
    for name in ("a1", "b0"):
        shutil.copytree(run.path, folder / "runs" / name)
    return folder


@pytest.mark.parametrize("data", ["dsprites", "dsprites32", "dsprites[shape=heart]"])
def test_printed_values_stand_beside_runs_on_the_same_images_only(study, monkeypatch, data):
    table = studies.results(study).with_columns(pl.lit(data).alias("data"))
    monkeypatch.setattr(studies, "results", lambda path: table)
    assert len(study_table(study)["printed"]) == (len(PRINTED) if data == "dsprites" else 0)


def test_settings_that_vary_tell_series_apart(study, monkeypatch):
    table = studies.results(study).with_columns(pl.Series("width", [128, 128, 256]))
    monkeypatch.setattr(studies, "results", lambda path: table)
    assert [row["series"].endswith("width 256") for row in study_table(study)["rows"]] == [
        False,
        False,
        True,
    ]


def test_the_choice_of_fit_is_read_without_building_its_model(study, tmp_path, monkeypatch):
    folder = tmp_path / "fitted"
    shutil.copytree(study, folder / "study")
    TrainedModel.from_run(Run.open(study / "runs" / "a0")).save(folder / "model.safetensors")
    (folder / "fit.json").touch()
    (folder / "images.npy").touch()
    monkeypatch.setattr("isavae.runs.model_file.build_model", None)
    assert all(row["chosen"] for row in study_table(folder / "study")["rows"])


ROWS = [
    {"id": name, "series": series, "model": series, "trained": True, "beta": beta, "seed": seed,
     "status": "done", "mig": mig, "reconstruction": -20.0, "kl": 9.0, "chosen": False}
    for name, series, beta, seed, mig in (
        ("a0", "isa-vae", 1, 0, 0.1), ("a1", "isa-vae", 1, 1, 0.3), ("b0", "beta-vae", 2, 0, 0.2),
    )
]  # fmt: skip
TABLE = {
    "rows": ROWS,
    "printed": [{"model": "isa-vae", "beta": 1, "mig": 0.2, "reconstruction": -20.93}],
}


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_runs_are_listed_sorted_filtered_marked_and_compared(browser, study):
    with serving(study) as site, visit(browser, site, ready=".point") as page:
        page.route("**/api/study", lambda route: route.fulfill(json=TABLE))
        page.reload()
        page.wait_for_selector(".point")

        def listed():
            rows = page.locator("#run-list tbody tr").all()
            return [row.get_attribute("data-run") for row in rows]

        assert listed() == ["a1", "b0", "a0"]
        page.click("[data-column=mig]")
        assert listed() == ["a0", "b0", "a1"]
        assert page.get_attribute("th:has([data-column=mig])", "aria-sort") == "ascending"
        page.click("[data-column=id]")
        assert listed() == ["a0", "a1", "b0"]
        assert page.get_attribute("th:has([data-column=mig])", "aria-sort") == "none"

        said = page.get_attribute(".median", "aria-label")
        assert said.startswith("isa-vae, β 1: medians over 2 runs (quartiles): MIG 0.200 (0.150 to")
        assert page.locator(".printed").count() == 0
        page.click(".facet:has-text('printed in the paper')")
        assert "MIG 0.20" in page.get_attribute(".printed", "aria-label")
        assert "compare MIG only" in page.inner_text("#tradeoff")

        page.fill("#run-filter", "isa seed=1")
        assert listed() == ["a1"]
        assert page.locator(".point").count() == 1
        page.fill("#run-filter", "")
        page.click(".facet:has-text('isa-vae')")
        assert listed() == ["b0"]
        assert complaints(page) == []
        page.click(".facet:has-text('isa-vae')")

        page.hover("#run-list tr[data-run=b0]")
        assert page.get_attribute(".point.pointed", "data-run") == "b0"
        page.click("#run-list tr[data-run=b0] th button")
        until(page, lambda: state(page)["run"] == "b0")
        page.wait_for_selector("#picker .factor")
        page.select_option("#compare-first", "a0")
        page.click("#run-list tr[data-run=a1] .compare")
        page.wait_for_selector(".column >> nth=1")
        assert page.locator(".column h4").all_inner_texts() == ["a0", "a1"]
        assert state(page)["run"] == "b0"


DENSE = [
    ROWS[0] | {"id": f"{name}{beta}{seed}", "series": name, "beta": beta, "seed": seed,
               "mig": 0.2 + 0.001 * beta, "reconstruction": -20.0 + 0.02 * beta + seed}
    for name in ("isa-vae, prior 2.1[2.2*4, 2.2*4, 2.2*4]", "beta-vae")
    for beta in (1, 2, 4) for seed in (0, 1)
]  # fmt: skip
LABELS = """() => [...document.querySelectorAll('.median-label')]
    .map((each) => each.getBoundingClientRect())
    .map((box) => [box.x, box.y, box.right, box.bottom])"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [360, 720, 1280, 2560])
def test_labels_stand_apart_on_a_page_no_wider_than_its_window(browser, study, width):
    with serving(study) as site, visit(browser, site, ready=".point", width=width) as page:
        page.route("**/api/study", lambda route: route.fulfill(json={"rows": DENSE, "printed": []}))
        page.reload()
        page.wait_for_selector(".point")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        labels = page.evaluate(LABELS)
        assert len(labels) == 6
        shared = [
            (min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))
            for a, b in itertools.combinations(labels, 2)
        ]
        assert not [area for area in shared if min(area) > 3]  # boxes of letters have margins
