"""The explorer's pictures in `docs/images`, of the demo and of a small study; needs Chromium.

    python -m tools.explorer_images [--work FOLDER]

The two are trained in that folder, in about eight minutes on two cores, unless they are there.
"""

import argparse
import io
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from isavae.studies import LocalEngine, Study, run_study
from tests.explorer_page import CHROMIUM, FLAGS, settle, visit
from tests.explorer_site import serving

IMAGES = Path(__file__).parents[1] / "docs/images"
STUDY = """
name: priors
seeds: 3
settings:
  data: dsprites32[scale=5, orientation=0]
  prior_scale: standardised
  network: mlp-silu
  width: 128
  blur: 4
  learning_rate_end: 0.05
  batch_size: 64
  steps: 2500
runs:
  - {model: beta-vae, prior: normal, beta: [2, 4, 8]}
  - {model: isa-vae, prior: "2.1[2.2*3, 2.2*3]", beta: [2, 4, 8]}
  - {model: isa-vae, prior: "10[10*3, 10*3]", beta: [2, 4, 8]}
resources: {cpus: 1}
"""
COLOURS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("explorer-images"))
    work = parser.parse_args().work
    demo, study = work / "demo", work / "study"
    if not (demo / "scores.json").exists():
        subprocess.run([sys.executable, "-m", "isavae", "demo", "--out", str(demo)], check=True)
    run_study(Study.parse(STUDY), study, LocalEngine(2))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with serving(demo) as site, visit(browser, site) as page:
            settle(page, site)
            keep(page, "explorer-run", 1320)
        with serving(demo) as site, visit(browser, site, width=360, scheme="dark") as page:
            settle(page, site)
            keep(page, "explorer-phone", 780)
        with serving(study) as site, visit(browser, site) as page:
            settle(page, site)
            page.locator("tr button.compare").last.click()
            page.wait_for_selector("#compare canvas")
            page.evaluate("document.querySelector('table.runs').parentElement.scrollTo(0, 0)")
            keep(page, "explorer-study", 1500)
        browser.close()


def keep(page: Page, name: str, height: int) -> None:
    """Write the upper part of the page as a small PNG file."""
    page.wait_for_selector("#nearest .tile")
    page.wait_for_timeout(1000)  # the last pictures are painted
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    upper = shot.crop((0, 0, shot.width, min(height, shot.height)))
    upper.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
