"""The explorer's page in a real browser, for its tests: visits, what is shown, gestures."""

import json
import shutil
from contextlib import contextmanager

import numpy as np

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@contextmanager
def visit(browser, site, fragment="", width=1280, scheme="light", ready=".cell", refusals=False):
    """A fresh visitor's page; afterwards, nothing must have gone wrong or anywhere else.

    Where the server refuses something (`refusals`), the browser notes that on the console.
    """
    size = {"width": width, "height": 740 if width < 500 else 900}
    context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints, elsewhere = [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda line: line.type in ("error", "warning") and complaints.append(line.text)
    )
    page.on(
        "request",
        lambda request: (
            request.url.startswith((f"http://127.0.0.1:{site.port}/", "blob:", "data:"))
            or elsewhere.append(request.url)
        ),
    )
    page.goto(site.url + fragment)
    page.wait_for_selector(ready)
    yield page
    context.close()
    assert refusals or complaints == []
    assert elsewhere == []


def state(page):
    """The page's state, as its own JSON export tells it."""
    text = page.evaluate("import('./exporting.js').then((m) => JSON.stringify(m.codeAsJson()))")
    return json.loads(text)


ADDRESS_IS_WRITTEN = """Promise.all([import('./permalink.js'), import('./state.js')])
    .then(([{ linkOf }, { state }]) => location.hash === linkOf(state))"""


def pixels(page, canvas="#decoded"):
    """The red channel of a canvas."""
    script = """(c) => {
      const copy = new OffscreenCanvas(c.width, c.height)
        .getContext('2d', { willReadFrequently: true });
      copy.drawImage(c, 0, 0);
      return [...copy.getImageData(0, 0, c.width, c.height).data].filter((_, k) => k % 4 === 0);
    }"""
    return np.array(page.eval_on_selector(canvas, script))


def settle(page, site):
    """Wait until the decoded image is that of the code, by the server; return the code."""
    for _ in range(100):
        code = state(page)["code"]
        body = np.array(code, "<f4").tobytes()
        _, content = site.ask("POST", f"/api/runs/{state(page)['run']}/decode", body)
        shown = pixels(page)
        expected = np.frombuffer(content, np.uint8)
        if shown.shape == expected.shape and np.abs(shown - expected).max() <= 1:
            return code
        page.wait_for_timeout(30)
    raise AssertionError("the decoded image never became that of the code")


def until(page, condition):
    """Wait until a condition holds, at most two minutes."""
    for _ in range(2400):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came to that")


def drag(page, selector, start, end, steps=8):
    """Drag across an element, from one point of it to another, in shares of its size."""
    page.locator(selector).first.scroll_into_view_if_needed()
    box = page.locator(selector).first.bounding_box()
    place = [
        (box["x"] + fx * box["width"], box["y"] + fy * box["height"]) for fx, fy in (start, end)
    ]
    page.mouse.move(*place[0])
    page.mouse.down()
    page.mouse.move(*place[1], steps=steps)
    page.mouse.up()
