"""The explorer's page in a real browser: every gesture, three widths, not one stray request."""

import io
import json
import shutil
import webbrowser

import numpy as np
import pytest
from PIL import Image

from isavae.explorer.server import opened
from isavae.files import read_json, write_json
from isavae.runs import TrainedModel
from tests.accessibility import complaints
from tests.explorer_page import (
    ADDRESS_IS_WRITTEN,
    CHROMIUM,
    drag,
    pixels,
    settle,
    state,
    until,
    visit,
)
from tests.explorer_site import TOKEN, serving, train_small

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]
WIDTHS = (360, 768, 1280)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    study = tmp_path_factory.mktemp("explorer") / "study"
    return [train_small(study / "runs" / f"run-{seed}", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def site(runs):
    with serving(runs[0].path) as site:
        yield site


@pytest.fixture(scope="module")
def study_site(runs):
    with serving(runs[0].path.parent.parent) as site:
        yield site


def opening_image(site):
    """The image that a page opens on, by the server."""
    return site.json("/api/runs/run/image")


@pytest.mark.parametrize("width", WIDTHS)
def test_sliders_and_pads_move_the_decoded_image_at_every_width(browser, site, width):
    with visit(browser, site, width=width) as page:
        before = settle(page, site)
        assert page.evaluate("document.documentElement.scrollWidth") <= width

        drag(page, ".sliders input[type=range]", (0.5, 0.5), (0.85, 0.5))
        moved = settle(page, site)
        assert [a != b for a, b in zip(before, moved, strict=True)].count(True) == 1
        assert max(moved, key=abs) > 1

        drawn = page.eval_on_selector("canvas.pad", "(pad) => [pad.width, pad.height]")
        assert drawn[0] == drawn[1] > 100
        drag(page, "canvas.pad", (0.5, 0.5), (0.8, 0.25))
        on_pad = settle(page, site)
        span = page.evaluate("import('./state.js').then((m) => m.span())")
        changed = [b for a, b in zip(moved, on_pad, strict=True) if a != b]
        assert sorted(changed) == pytest.approx([0.5 * span, 0.6 * span], abs=0.05 * span)

        page.click("#undo")
        assert settle(page, site) == moved
        page.click("#undo")
        assert settle(page, site) == before
        assert page.is_disabled("#undo")


def test_a_dragged_slider_asks_for_one_image_at_a_time(browser, site):
    """What else shows the code is asked for once it rests, and only where it has changed."""
    with visit(browser, site) as page:
        settle(page, site)
        page.click(".cell[data-latent='0'] >> nth=0")
        page.wait_for_selector("#nearest-part:not(.stale)")
        page.wait_for_timeout(500)
        asked = []
        page.on("request", lambda sent: asked.append(sent))

        def questions(selector, start, end):
            """What was asked during a drag and after it, with the number of its codes."""
            asked.clear()
            drag(page, selector, start, end, steps=20)
            page.wait_for_timeout(500)
            return [
                (each.url.rsplit("/", 1)[-1], len(each.post_data_buffer or "") // 24)
                for each in asked
                if "/api/" in each.url
            ]

        moved = questions("#z0", (0.5, 0.5), (0.9, 0.5))
        assert moved.count(("decode", 1)) >= 1
        assert {*moved} <= {("decode", 1), ("nearest?latent=0", 9), ("sheet", 49)}
        assert not page.locator("#strip.stale").count()

        def strip():
            return np.stack([pixels(page, f"#strip canvas >> nth={i}") for i in range(9)])

        before = strip()
        moved = questions("canvas.pad", (0.5, 0.5), (0.9, 0.2))
        assert 1 <= moved.count(("decode", 9)) < moved.count(("decode", 1))
        assert not (before == strip()).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_an_uploaded_image_is_encoded_reconstructed_and_swapped(browser, site, width):
    def upload(left):
        array = np.zeros((64, 64), np.uint8)
        array[20:44, left : left + 24] = 255
        file = io.BytesIO()
        Image.fromarray(array).save(file, format="PNG")
        return {"name": f"{left}.png", "mimeType": "image/png", "buffer": file.getvalue()}

    with visit(browser, site, width=width) as page:
        page.set_input_files("#upload", upload(2))
        until(page, lambda: state(page)["image"]["index"] is None)
        first = state(page)["image"]
        assert settle(page, site) == first["mean"]
        assert np.abs(pixels(page, "#reconstruction") - pixels(page)).max() <= 1
        assert pixels(page, "#original").reshape(16, 16)[8, 1:6].min() > 200
        assert page.locator(".band:visible").count() > 0

        page.click("#keep")
        page.set_input_files("#upload", upload(36))
        until(page, lambda: state(page)["image"] != first)
        second = settle(page, site)
        assert second == state(page)["image"]["mean"]
        page.click(".swap >> nth=1")
        swapped = settle(page, site)
        assert swapped == [*second[:2], *first["mean"][2:4], *second[4:]]

        page.locator("#blend input[type=range]").fill("0.5")
        half = [(a + b) / 2 for a, b in zip(first["mean"], second, strict=True)]
        assert settle(page, site) == pytest.approx(half, abs=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_heat_map_selects_the_latent_of_strip_and_curves(browser, site, width):
    with visit(browser, site, width=width) as page:
        for latent in sorted(
            {int(row.get_attribute("data-latent")) for row in page.locator(".cell").all()}
        ):
            page.click(f".cell[data-latent='{latent}'] >> nth=1")
            until(
                page,
                lambda text=f"z{latent + 1} ": page.inner_text("#curves-title").startswith(text),
            )
            assert page.inner_text("#strip-title") == f"Traversal of z{latent + 1}"
            assert state(page)["traversal"]["latent"] == latent
            assert (
                page.get_attribute(f"tr[data-latent='{latent}'] .rowhead", "aria-pressed") == "true"
            )
        settle(page, site)
        traversal = state(page)["traversal"]
        body = np.array(traversal["codes"], "<f4").tobytes()
        expected = np.frombuffer(site.ask("POST", "/api/runs/run/decode", body)[1], np.uint8)
        shown = [pixels(page, f".frame:nth-child({k + 1}) canvas") for k in range(9)]
        assert np.abs(np.concatenate(shown) - expected).max() <= 1


def test_a_permalink_survives_a_reload(browser, site):
    with visit(browser, site) as page:
        opened = state(page)["image"]["index"]
        factor = page.locator(".factor input[type=range] >> nth=3")
        factor.fill("6" if factor.input_value() != "6" else "5")
        until(page, lambda: state(page)["image"]["index"] != opened)
        page.click("#keep")
        kept = state(page)["image"]["index"]
        page.keyboard.press("n")
        until(page, lambda: state(page)["image"]["index"] != kept)
        page.keyboard.press("s")
        until(page, lambda: state(page)["code"] != state(page)["image"]["mean"])
        page.click(".cell[data-latent='1'] >> nth=0")
        page.select_option("#colour-by select", "posX")
        until(page, lambda: page.evaluate(ADDRESS_IS_WRITTEN))
        before = state(page)
        page.reload()
        page.wait_for_selector(".cell")
        after = state(page)
        assert before["image"]["index"] is not None
        assert after["image"]["index"] == before["image"]["index"]
        assert after["traversal"]["latent"] == 1
        assert "&latent=z2&" in page.url
        assert after["code"] == pytest.approx(before["code"], abs=1e-3)
        assert page.input_value("#colour-by select") == "posX"
        assert page.locator("#blend .pair").count() == 1
        settle(page, site)


def test_an_answer_that_comes_late_does_not_replace_a_later_one(browser, site):
    with visit(browser, site) as page:
        opened = state(page)["image"]
        held = []
        page.route("**/api/runs/run/image?*", lambda route: held.append(route))
        page.keyboard.press("n")
        until(page, lambda: held)
        page.keyboard.press("s")
        until(page, lambda: state(page)["code"] != opened["mean"])
        sampled = state(page)["code"]
        with page.expect_response("**/api/runs/run/image?*") as late:
            held[0].continue_()
        late.value.finished()
        page.wait_for_timeout(100)
        assert state(page)["code"] == sampled
        assert state(page)["image"]["index"] == opened["index"]


@pytest.mark.parametrize("fragment", ["#z=1,2", "#z=a,b,c,d,e,f", "#image=99999", "#%%%"])
def test_a_damaged_permalink_still_opens_the_page(browser, site, fragment):
    with visit(browser, site, fragment) as page:
        assert settle(page, site) == opening_image(site)["mean"]


def test_a_link_to_a_run_that_is_not_there_opens_another_one_and_says_so(browser, site):
    with visit(browser, site, "#run=elsewhere", refusals=True) as page:
        assert "no run of that name" in page.inner_text("#notice")
        settle(page, site)


def test_the_keyboard_does_everything(browser, site):
    with visit(browser, site) as page:
        opened = settle(page, site)
        index = state(page)["image"]["index"]
        selected = state(page)["traversal"]["latent"]
        page.keyboard.press("ArrowRight")
        moved = settle(page, site)
        assert moved[selected] > opened[selected]
        page.keyboard.press("ArrowDown")
        assert state(page)["traversal"]["latent"] != selected
        page.keyboard.press("r")
        assert settle(page, site) == opened
        page.keyboard.press("s")
        until(page, lambda: state(page)["code"] != opened)
        settle(page, site)
        page.keyboard.press("Control+z")
        assert settle(page, site) == opened
        page.keyboard.press("n")
        until(page, lambda: state(page)["image"]["index"] != index)
        second = state(page)["image"]["index"]
        page.keyboard.press("n")
        until(page, lambda: state(page)["image"]["index"] != second)
        page.keyboard.press("u")
        assert state(page)["image"]["index"] == second

        before = settle(page, site)
        page.focus("canvas.pad")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowLeft")
        after = settle(page, site)
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 2
        page.keyboard.press("?")
        assert page.is_visible("#keys")
        page.keyboard.press("Escape")
        assert not page.is_visible("#keys")


def test_everything_that_can_be_operated_has_a_name(browser, site):
    with visit(browser, site) as page:
        page.keyboard.press("n")
        page.click("#keep")
        page.click("summary >> nth=0")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll(
              'button, input, select, canvas[tabindex], [role=img], [role=button]')]
            .filter((e) => !(e.getAttribute('aria-label') || e.title || e.labels?.length
              || e.textContent.trim()))
            .map((e) => e.outerHTML)"""
        )
        assert nameless == []
        headings = page.locator("h1, h2, h3").all_inner_texts()
        assert "Latents" in headings
        assert page.locator("main").count() == 1


PART_WITH_FOCUS = """() => {
  const parts = '.skip, .bar, .actions, #data, #second, #latents, #why, #numbers';
  const part = document.activeElement.closest(parts);
  return part && (part.id || part.className);
}"""


def test_focus_goes_down_the_page_and_a_dialog_gives_it_back(browser, site):
    with visit(browser, site, width=1280) as page:
        parts = []
        for _ in range(150):
            page.keyboard.press("Tab")
            part = page.evaluate(PART_WITH_FOCUS)
            if part and part not in parts[-1:]:
                parts.append(part)
        order = ["skip", "bar", "actions", "data", "second", "latents", "why", "numbers"]
        assert parts[: len(order)] == order
        page.focus("#help")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent") == "Close"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "help"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_by_itself_where_that_is_not_wanted(browser, site, motion):
    with visit(browser, site) as page:
        page.emulate_media(reduced_motion=motion)
        lasts = page.evaluate(
            """() => [...document.querySelectorAll('*')].map((e) => getComputedStyle(e))
              .filter((s) => parseFloat(s.transitionDuration) || s.animationName !== "none")
              .length"""
        )
        assert (lasts == 0) is (motion == "reduce")


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 360),
        ("dark", 1280),
        pytest.param("dark", 360, marks=pytest.mark.slow),
        pytest.param("light", 1280, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_wrong(browser, site, scheme, width):
    """Contrast, names, roles and headings, also with a kept image and unused latents."""
    with visit(browser, site, "#colour=posX", scheme=scheme, width=width) as page:
        page.click("#keep")
        page.wait_for_selector("#codes-legend i")
        page.evaluate(
            """async () => {
              const { set, state } = await import("./state.js");
              const active = state.summary.active.map((_, z) => z > 1);
              set({ summary: { ...state.summary, active } });
            }"""
        )
        page.wait_for_selector(".card.silent")
        page.wait_for_selector("#nearest-part:not(.stale)")
        assert complaints(page) == []
        page.keyboard.press("?")
        assert complaints(page) == []


def test_exports(browser, site):
    with visit(browser, site) as page:
        code = settle(page, site)

        def export(label):
            page.click("#export")
            with page.expect_download() as download:
                page.click(f"#exports button:has-text('{label}')")
            return download.value

        with Image.open(export("Image as PNG").path()) as image:
            assert image.size == (128, 128)
        with Image.open(export("Traversal as PNG").path()) as strip:
            assert strip.size == (9 * 130 - 2, 128)
        saved = export("Code as JSON")
        assert json.loads(saved.path().read_text())["code"] == code
        animation = export("Traversal as GIF")
        assert animation.suggested_filename.endswith(".gif")
        with Image.open(animation.path()) as frames:
            assert 40 <= frames.n_frames <= 46  # equal neighbours are one frame

        page.click("#export")
        page.click("#exports button:has-text('Copy a link')")
        page.wait_for_selector("#notice:not([hidden])")
        link = page.evaluate("navigator.clipboard.readText()")
        assert "#run=run&z=" in link
        assert TOKEN not in link


def test_a_study_point_opens_its_run_and_two_runs_compare(browser, study_site, runs):
    with visit(browser, study_site, ready=".point") as page:
        opened = state(page)["run"]
        other = next(run.path.name for run in runs if run.path.name != opened)
        page.focus(f".point[data-run='{other}']")
        page.keyboard.press("Enter")
        until(page, lambda: other in page.title())
        page.wait_for_selector(f".point.selected[data-run='{other}']")
        page.wait_for_selector(".cell")
        settle(page, study_site)

        page.click(f".point[data-run='{opened}']", force=True)
        until(page, lambda: opened in page.title())
        page.wait_for_selector("#picker .factor")
        page.keyboard.press("n")
        page.wait_for_selector("#thumbs:not([hidden])")
        page.select_option("#compare-with", other)
        page.wait_for_selector(".columns .column >> nth=1")
        assert page.locator(".column h4").all_inner_texts() == [opened, other]
        left, right = (f".column:nth-child({k}) .thumbs canvas >> nth=0" for k in (1, 2))
        assert np.array_equal(pixels(page, left), pixels(page, right))
        left, right = (f".column:nth-child({k}) .thumbs canvas >> nth=1" for k in (1, 2))
        assert not np.array_equal(pixels(page, left), pixels(page, right))


def test_the_controls_of_another_runs_images_are_gone_until_there_are_new_ones(
    browser, study_site, runs
):
    with visit(browser, study_site) as page:
        held, opened = [], state(page)["run"]
        page.route("**/images", lambda route: held.append(route))
        other = next(run.path.name for run in runs if run.path.name != opened)
        page.focus(f".point[data-run='{other}']")
        page.keyboard.press("Enter")
        until(page, lambda: held)
        assert page.locator("#picker .factor").count() == 0
        assert "Opening" in page.inner_text("#picker")
        held[0].continue_()
        page.wait_for_selector("#picker .factor")


def test_a_run_that_changes_or_vanishes_while_it_is_looked_at_is_said(browser, runs, tmp_path):
    path = tmp_path / "moving"
    shutil.copytree(runs[0].path, path)
    with serving(path) as site, visit(browser, site) as page:
        shutil.copy(runs[1].model_path, path / "new")
        (path / "new").rename(path / "model.safetensors")
        page.keyboard.press("s")
        page.wait_for_selector("#notice:not([hidden])")
        assert "newest state" in page.inner_text("#notice")
        page.wait_for_selector(".cell")
        settle(page, site)
        shutil.rmtree(path)
        page.keyboard.press("s")
        until(page, lambda: "gone" in page.inner_text("#notice"))
        settle(page, site)


def told_afterwards(page, act):
    """What the page's notice says while `act` is done, and for half a second after it."""
    page.evaluate(
        """() => {
          window.told = [];
          const line = document.getElementById("notice");
          const watch = new MutationObserver(() => told.push(line.textContent));
          watch.observe(line, { childList: true });
        }"""
    )
    act()
    page.wait_for_timeout(500)
    return page.evaluate("told")


@pytest.mark.parametrize("asked", ["before", "after"])
def test_a_slow_answer_does_not_bring_back_what_is_gone(browser, runs, tmp_path, asked):
    """An answer from before the run vanished, to a request before or after one that tells it."""
    path = tmp_path / "moving"
    shutil.copytree(runs[0].path, path)
    with serving(path) as site, visit(browser, site) as page:
        late, quick = [], []
        page.route("**/image?*", lambda route: late.append((route, route.fetch())))
        page.route("**/sample?*", lambda route: quick.append(route))
        page.route("**/decode", lambda route: None)  # which would tell, too
        for key, held in (("n", late), ("s", quick))[:: 1 if asked == "before" else -1]:
            page.keyboard.press(key)
            until(page, lambda held=held: held)
        shutil.rmtree(path)
        quick[0].continue_()
        until(page, lambda: "gone" in page.inner_text("#notice"))

        def answer():
            for route, response in late:
                with page.expect_response("**/image?*"):
                    route.fulfill(response=response)

        assert not [text for text in told_afterwards(page, answer) if "back" in text]


def test_without_images_the_latents_still_move(browser, runs):
    ready = "#picker:has-text('no-such-data')"
    with (
        serving(runs[0].path, data="no-such-data") as site,
        visit(browser, site, ready=ready, refusals=True) as page,
    ):
        drag(page, ".sliders input[type=range]", (0.5, 0.5), (0.9, 0.5))
        assert any(settle(page, site))


def test_the_file_that_is_opened_leads_to_the_page(browser, site, monkeypatch):
    """A browser sends a strict cookie only where a page of ours leads."""
    addresses = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    with opened(site.url):
        page = browser.new_page()
        page.goto(addresses[0])
        page.wait_for_selector(".cell")
        assert page.url.startswith(f"http://127.0.0.1:{site.port}/#")
        page.close()


def test_the_page_opens_on_a_real_image_and_reset_comes_back_to_it(browser, site):
    typical = opening_image(site)
    means = np.array(
        [site.json(f"/api/runs/run/image?index={k}")["mean"] for k in range(0, 768, 17)]
    )
    away = np.square(means - np.median(means, 0)).sum(1)
    assert np.square(typical["mean"] - np.median(means, 0)).sum() < np.median(away) / 2
    drawn = []
    for _ in range(2):
        with visit(browser, site, "#seed=7") as page:
            assert settle(page, site) == typical["mean"]
            assert page.is_visible("#reconstruction")
            assert page.is_disabled("#undo")
            seen = [typical["index"]]
            for _ in range(3):
                page.keyboard.press("n")
                until(page, lambda: state(page)["image"]["index"] != seen[-1])
                seen.append(state(page)["image"]["index"])
            drawn.append(seen)
            page.keyboard.press("s")
            until(page, lambda: state(page)["code"] != state(page)["image"]["mean"])
            page.keyboard.press("r")
            assert settle(page, site) == state(page)["image"]["mean"]
            assert state(page)["image"]["index"] == seen[-1]
            page.keyboard.press("r")
            assert settle(page, site) == typical["mean"]
            assert state(page)["image"]["index"] == typical["index"]
    assert drawn[0] == drawn[1]
    assert np.abs(np.diff(drawn[0])).max() > 1


def test_codes_are_coloured_by_a_legend_that_names_every_class(browser, site):
    with visit(browser, site) as page:
        page.select_option("#colour-by select", "scale")
        page.wait_for_selector("#codes-legend i")
        words = page.inner_text("#codes-legend").split()
        assert " ".join(words) == "768 codes scale: 0 (256) 1 (256) 2 (256)"
        page.select_option("#colour-by select", "posX")
        page.wait_for_selector("#codes-legend:has-text('posX')")
        assert page.locator("#codes-legend span").count() == 8
        page.select_option("#colour-by select", "hidden")
        page.wait_for_selector("#codes-legend", state="hidden")


def test_a_number_that_is_none_of_an_image_is_refused_by_its_name(browser, site):
    with visit(browser, site) as page:
        shown = page.input_value("input[type=number]")
        for wrong in ("768", "1.5", "-1"):
            page.fill("input[type=number]", wrong)
            page.press("input[type=number]", "Enter")
            expected = "number of an image must be a whole number from 0 to 767"
            until(page, lambda text=expected: text in page.inner_text("#notice"))
            assert page.input_value("input[type=number]") == shown


def test_what_is_unknown_or_unused_is_said_or_left_out(browser, site):
    unused = [not each for each in site.json("/api/runs/run/summary")["active"]]
    groups = site.json("/api/runs/run")["groups"]
    used = [g["title"] for g in groups if not all(unused[z] for z in g["latents"])]
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, format="PNG")
    upload = {"name": "own.png", "mimeType": "image/png", "buffer": file.getvalue()}
    with visit(browser, site) as page:
        assert "not known" not in page.inner_text("#picker")
        page.click("#keep")
        assert page.locator(".swap").all_inner_texts() == used
        page.evaluate(
            """async () => {
              const { set, state } = await import("./state.js");
              const active = state.summary.active.map((_, z) => z < 2);
              set({ summary: { ...state.summary, active } });
            }"""
        )
        assert page.locator(".swap").all_inner_texts() == ["Subspace 1"]
        page.set_input_files("#upload", upload)
        until(page, lambda: state(page)["image"]["index"] is None)
        assert "factors of your own image are not known" in page.inner_text("#picker")
        until(page, lambda: page.evaluate(ADDRESS_IS_WRITTEN))
        page.reload()
        page.wait_for_selector("#blend .pair")


def test_a_study_without_factors_shows_kl_and_the_run_that_fit_chose(browser, runs, tmp_path):
    folder = tmp_path / "fitted"
    shutil.copytree(runs[0].path.parent.parent, folder / "study")
    for path in (folder / "study" / "runs").iterdir():
        scores = read_json(path / "scores.json")
        write_json(path / "scores.json", {k: v for k, v in scores.items() if k != "mig"})
    # Not the run that a study without factors opens otherwise.
    chosen = min(runs, key=lambda run: run.scores()["reconstruction"]["value"])
    TrainedModel.from_run(chosen).save(folder / "model.safetensors")
    (folder / "fit.json").touch()
    (folder / "images.npy").touch()
    with serving(folder / "study") as site, visit(browser, site, ready=".point") as page:
        assert state(page)["run"] == chosen.path.name
        assert page.get_attribute(".point.chosen", "data-run") == chosen.path.name
        assert "KL, nats" in page.text_content("#tradeoff svg")
        assert "chosen by isavae fit" in page.inner_text("#tradeoff")


def test_ticks_of_an_axis_differ(browser, study_site):
    with visit(browser, study_site, ready=".point") as page:
        texts = page.evaluate(
            """async () => {
              const { tradeoff } = await import("./tradeoff.js");
              const rows = [0.0011, 0.0016, 0.0034].map((mig, k) => ({
                id: `${k}`, series: "x", mig, kl: 1, reconstruction: k, trained: true }));
              const chart = tradeoff(rows, { series: ["x"] });
              return [...chart.querySelectorAll("text[text-anchor=end]:not(.label)")]
                .map((text) => text.textContent);
            }"""
        )
        assert len(texts) > 2
        assert len(set(texts)) == len(texts)


def test_real_images_stand_under_the_traversal(browser, site):
    with visit(browser, site) as page:
        for latent in (0, 1):
            page.click(f".cell[data-latent='{latent}'] >> nth=0")
            page.wait_for_selector(f"#nearest-title:has-text('z{latent + 1}')")
            page.wait_for_selector("#nearest-part:not(.stale)")
            labels = [
                tile.get_attribute("aria-label") for tile in page.locator("#nearest .tile").all()
            ]
            found = [
                site.json(f"/api/runs/run/image?index={label.split()[1]}")["mean"][latent]
                for label in labels
            ]
            assert len(found) == 9
            assert found == sorted(found)
            assert found[-1] - found[0] > 1
        page.click("#nearest .tile >> nth=8")
        until(page, lambda: str(state(page)["image"]["index"]) == labels[8].split()[1])


def test_two_latents_of_a_subspace_are_a_sheet(browser, site):
    with visit(browser, site) as page:
        page.click(".cell[data-latent='0'] >> nth=0")
        until(page, lambda: page.inner_text("#together-title") in ("z1 and z2 together",) * 2)
        span = page.evaluate("import('./state.js').then((m) => m.span())")
        code = state(page)["code"]
        corner = np.array([span, span, *code[2:]], "<f4").tobytes()
        _, expected = site.ask("POST", "/api/runs/run/decode", corner)
        expected = np.frombuffer(expected, np.uint8).reshape(16, 16)

        def corner_shows_it():
            sheet = pixels(page, "#together")
            if sheet.size != 49 * 16 * 16:
                return False
            return np.abs(sheet.reshape(7 * 16, 7 * 16)[:16, -16:] - expected).max() <= 1

        until(page, corner_shows_it)
        page.click("#together", position={"x": 2, "y": 2})
        assert settle(page, site)[:2] == pytest.approx([-span, span])
        assert page.evaluate("document.getElementById('together-mark').style.cssText") == (
            "--column: 0; --row: 0; --side: 7;"
        )
        page.evaluate(
            """async () => {
              const { set, state } = await import("./state.js");
              set({ summary: { ...state.summary, active: state.summary.active.with(1, false) } });
            }"""
        )
        assert not page.is_visible("#together-panel")


def test_axes_that_other_seeds_find_are_marked(browser, runs, tmp_path):
    model = TrainedModel.from_run(runs[0])
    model.facts["axes"] = [
        {"latent": 0, "verdict": "stable", "found_by": 3, "seeds": 3},
        {"latent": 2, "verdict": "partly stable", "found_by": 1, "seeds": 3},
    ]
    model.save(tmp_path / "model.safetensors")
    with serving(tmp_path / "model.safetensors") as site, visit(browser, site) as page:
        marks = page.locator(".slider .stability")
        assert marks.all_inner_texts() == ["stable, 3 of 3 seeds", "partly stable, 1 of 3 seeds"]
        rows = page.locator(".slider:has(.stability)").all()
        assert [row.get_attribute("data-latent") for row in rows] == ["0", "2"]


def test_a_latent_is_named_in_place_and_is_called_so_everywhere(browser, runs, tmp_path):
    run, name = shutil.copytree(runs[0].path, tmp_path / "run"), "<i>slant"
    with serving(run) as site, visit(browser, site) as page:
        page.click(".cell[data-latent='1'] >> nth=0")
        page.locator("#naming button").focus()
        page.keyboard.press("Enter")
        page.keyboard.type("zzz")
        page.keyboard.press("Escape")
        assert page.inner_text("#strip-title") == "Traversal of z2"
        page.keyboard.press("Enter")  # the focus is back on the button
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#strip-title:has-text('Traversal of {name}')")
        assert page.inner_text("#naming button") == "Rename"
        assert page.inner_text(".slider[data-latent='1'] label") == name
        assert page.get_attribute("#z1", "aria-label") == f"Latent {name}"
        assert page.inner_text("tr[data-latent='1'] .rowhead") == name
        assert page.inner_text("#nearest-title") == f"Real images nearest along {name}"
        assert page.inner_text("#curves-title") == f"{name} against the factors"
        assert name in page.locator(".axes select option").all_inner_texts()
        until(page, lambda: "latent=%3Ci%3Eslant" in page.url)
        page.reload()
        page.wait_for_selector(".cell")
        assert page.inner_text("#strip-title") == f"Traversal of {name}"
        assert state(page)["traversal"] | {"values": 0, "codes": 0} == {
            "latent": 1,
            "name": name,
            "values": 0,
            "codes": 0,
        }
        page.click("#naming button")
        page.keyboard.press("Delete")
        page.keyboard.press("Enter")
        page.wait_for_selector("#strip-title:has-text('Traversal of z2')")


def test_where_names_cannot_be_kept_it_is_said(browser, runs, tmp_path, monkeypatch):
    run = shutil.copytree(runs[0].path, tmp_path / "run")
    monkeypatch.setattr("isavae.explorer.library.os.access", lambda path, mode: False)
    with serving(run) as site, visit(browser, site) as page:
        assert page.inner_text("#naming") == "It cannot be named here: its folder is read-only."


def test_terms_are_defined_on_hover_and_on_tap(browser, site):
    with visit(browser, site) as page:
        for name in ("nats", "p", "contours", "MIG"):
            word = page.locator(f"button[data-term='{name}'] >> nth=0")
            word.scroll_into_view_if_needed()
            page.wait_for_timeout(200)
            word.hover()
            assert page.inner_text("#tip").startswith(name[0].upper() if name != "p" else "p:")
            page.mouse.move(1, 1)
            assert not page.is_visible("#tip")
        word = page.locator("button[data-term=contours] >> nth=0")
        word.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        word.click()
        assert "prior density" in page.inner_text("#tip")
        box = page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280
        page.keyboard.press("Escape")
        assert not page.is_visible("#tip")
