"""The explorer with the paper's MLP: first paint, slider to image, updates a second, memory.

    python benchmarks/explorer.py [--data 'dsprites[shape=heart, scale=5, orientation=0]']

The page is a real one, in headless Chromium on the same machine as the server, so both share its
cores. "Slider to image" is the time from a slider's input event to the animation frame after the
decoded image, the reconstruction and the traversal strip of nine frames have been painted.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

import torch
from playwright.sync_api import Browser, sync_playwright

from isavae.data import load
from isavae.runs import Run, RunConfig, build_model, save_model

CHROMIUM = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()

LATENCIES = """async (moves) => {
  const { on, state } = await import('./state.js');
  const slider = document.querySelector('.sliders input[type=range]');
  let arrived = () => {};
  on(['decoded'], () => arrived());
  const times = [];
  for (let k = 0; k < moves; k++) {
    const image = new Promise((resolve) => (arrived = resolve));
    const start = performance.now();
    slider.value = 2 * Math.sin(k);
    slider.dispatchEvent(new Event('input'));
    await image;
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - start);
  }
  return times;
}"""

UPDATES = """async (seconds) => {
  const { on, state } = await import('./state.js');
  const slider = document.querySelector('.sliders input[type=range]');
  let updates = 0;
  on(['decoded'], () => updates++);
  const start = performance.now();
  for (let k = 0; performance.now() - start < 1000 * seconds; k++) {
    slider.value = 2 * Math.sin(k / 20);
    slider.dispatchEvent(new Event('input'));
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  return updates / seconds;
}"""


def untrained_run(data: str, folder: Path) -> Run:
    """A run of the paper's networks with fresh weights: what they cost does not depend on them.

    The posterior is made wide and sharp, so that every latent is active and every plane drawn.
    """
    config = RunConfig(data=data, steps=1)
    shape = load(data).shape
    run = Run.create(folder / "run", config)
    model = build_model(config, shape)
    weight, bias = model.encoder.get_submodule("5").parameters()
    with torch.no_grad():
        weight[: model.prior.n_latents] *= 30
        bias[model.prior.n_latents :] = -3
    metadata = {"steps": 1, "step": 0, "shape": shape, "config": config.settings()}
    save_model(model, run.model_path, metadata)
    return run


def resident_megabytes(process: subprocess.Popen) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def first_paint(browser: Browser, url: str) -> float:
    page = browser.new_context().new_page()
    page.goto(url)
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    paint = page.evaluate(script)
    page.context.close()
    return paint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="dsprites[shape=heart, scale=5, orientation=0]")
    parser.add_argument("--moves", type=int, default=100)
    flags = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = untrained_run(flags.data, Path(folder))
        command = [sys.executable, "-m", "isavae", "explore", str(run.path), "--no-browser"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
        try:
            url = re.search(r"http://\S+", server.stdout.readline())[0]
            binary = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=binary, args=CHROMIUM)
            paints = [first_paint(browser, url) for _ in range(5)]
            page = browser.new_page()
            page.goto(url)
            page.wait_for_selector(".bar-line", timeout=120_000)
            page.evaluate(LATENCIES, 10)
            times = page.evaluate(LATENCIES, flags.moves)
            rate = page.evaluate(UPDATES, 3)
            print(f"first contentful paint: median {median(paints):.0f} ms of {len(paints)}")
            print(
                f"slider to image: median {median(times):.0f} ms, "
                f"p95 {quantiles(times, n=20)[-1]:.0f} ms of {len(times)}"
            )
            print(f"while dragging: {rate:.0f} updates/s")
            print(f"server: {resident_megabytes(server):.0f} MB resident")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
