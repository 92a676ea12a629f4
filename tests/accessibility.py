"""What axe-core finds wrong with a page: faint text, missing names, wrong roles, lost headings."""

from importlib import resources

import pytest

RUN = """async () => {
  const { violations } = await axe.run();
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, any }) => `${id}: ${help}: ${target} ${any.map((each) => each.message)}`));
}"""


def complaints(page) -> list[str]:
    """By all rules of axe-core: those of WCAG 2 on the levels A and AA, and its best practices."""
    pytest.importorskip("axe_playwright_python", reason="needs axe-core: make setup")
    script = resources.files("axe_playwright_python") / "axe.min.js"
    page.evaluate(script.read_text(encoding="utf-8"))
    return page.evaluate(RUN)
