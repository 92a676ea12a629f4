"""The explorer with the paper's MLP and convolutions: slider to image, frames, CPU, memory.

    python benchmarks/explorer.py [--data 'dsprites[shape=heart, scale=5, orientation=0]']

The page is a real one, in headless Chromium on the same machine as the server, so both share its
cores. "Slider to image" is the time from a slider's input event until the frame that shows the
decoded image has been painted: a multiple of a frame of 17 ms, where nothing else wants the cores.
CPU is that of the server and of all processes of the browser, per move; it depends less on what
else runs. "Pad" drags the point over the codes of a subspace, coloured by a factor; a frame that
takes more than 50 ms is a stutter.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import torch
from playwright.sync_api import BrowserContext, Page, sync_playwright

from isavae.data import load
from isavae.runs import Run, RunConfig, build_model, save_model

CHROMIUM = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()

LATENCIES = """async (moves) => {
  const { on } = await import('./state.js');
  const channel = new MessageChannel();
  const painted = () => new Promise((resolve) => {
    channel.port1.onmessage = resolve;
    requestAnimationFrame(() => channel.port2.postMessage(0)); // is handled after that frame
  });
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
    await painted();
    times.push(performance.now() - start);
  }
  return times;
}"""

UPDATES = """async (seconds) => {
  const { on } = await import('./state.js');
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


PAD = """async (seconds) => {
  const { set, state } = await import('./state.js');
  const { name } = state.images.factors.findLast(({ size }) => size > 1);
  set({ colourBy: name });
  while (state.scatter?.factor?.name !== name) await new Promise(requestAnimationFrame);
  const pad = document.querySelector('canvas.pad');
  const box = pad.getBoundingClientRect();
  const at = (type, t) => pad.dispatchEvent(new PointerEvent(type, { pointerId: 1, bubbles: true,
    clientX: box.left + box.width * (0.5 + 0.4 * Math.sin(t)),
    clientY: box.top + box.height * (0.5 + 0.4 * Math.cos(1.3 * t)) }));
  pad.setPointerCapture = () => {};
  pad.hasPointerCapture = () => true;
  at('pointerdown', 0);
  const frames = [];
  let before = performance.now();
  for (const start = before; before - start < 1000 * seconds;) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
    at('pointermove', now / 300);
  }
  return { frames, codes: state.scatter.points.length / state.model.latents };
}"""


def untrained_run(data: str, network: str, folder: Path) -> Run:
    """A run of the paper's networks with fresh weights: what they cost does not depend on them.

    The posterior is made wide and sharp, so that every latent is active and every plane drawn.
    """
    config = RunConfig(data=data, network=network, steps=1)
    shape = load(data).shape
    run = Run.create(folder / network, config)
    model = build_model(config, shape)
    *_, weight, bias = model.encoder.parameters()
    with torch.no_grad():
        weight[: model.prior.n_latents] *= 30
        bias[model.prior.n_latents :] = -3
    metadata = {"steps": 1, "step": 0, "shape": shape, "config": config.settings()}
    save_model(model, run.model_path, metadata)
    return run


@contextmanager
def served(run: Run) -> Iterator[tuple[str, int]]:
    """The address of a run's explorer, and its process."""
    command = [sys.executable, "-m", "isavae", "explore", str(run.path), "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        yield re.search(r"http://\S+", server.stdout.readline())[0], server.pid
    finally:
        server.terminate()
        server.wait()


def resident_megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def cpu_milliseconds(process: int) -> float:
    """What all threads of a process and of those that it started have used."""
    tasks = [*Path(f"/proc/{process}/task").iterdir()]
    own = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6
    children = " ".join((task / "children").read_text() for task in tasks).split()
    return own + sum(cpu_milliseconds(int(child)) for child in children)


def browser_process(profile: str) -> int:
    """The browser that was started with this folder of a profile: the oldest such process."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if profile.encode() in words and b"--type=" not in words:
            found.append(int(process.name))
    return min(found)


def first_paint(context: BrowserContext, url: str) -> float:
    page = context.new_page()
    page.goto(url)
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    paint = page.evaluate(script)
    page.close()
    return paint


def report(page: Page, moves: int, server: int, browser: int) -> None:
    """Measure an open page and print what is found."""
    page.evaluate(LATENCIES, 10)
    before = [cpu_milliseconds(process) for process in (server, browser)]
    times = page.evaluate(LATENCIES, moves)
    after = [cpu_milliseconds(process) for process in (server, browser)]
    cpu = [(end - start) / moves for start, end in zip(before, after, strict=True)]
    print(
        f"  slider to image: median {median(times):.0f} ms, "
        f"p95 {quantiles(times, n=20)[-1]:.0f} ms of {len(times)}; "
        f"CPU per move {cpu[0]:.1f} ms of the server, {cpu[1]:.1f} ms of the browser"
    )
    print(f"  while dragging a slider: {page.evaluate(UPDATES, 3):.0f} updates/s")
    pad = page.evaluate(PAD, 3)
    frames = pad["frames"]
    print(
        f"  while dragging over {pad['codes']:.0f} codes: {len(frames) / 3:.0f} frames/s, "
        f"the longest of {max(frames):.0f} ms, {sum(f > 50 for f in frames)} above 50 ms"
    )
    print(f"  server: {resident_megabytes(server):.0f} MB resident")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="dsprites[shape=heart, scale=5, orientation=0]")
    parser.add_argument("--moves", type=int, default=100)
    flags = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        binary, profile = shutil.which("chromium"), str(Path(folder, "profile"))
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=binary, args=CHROMIUM
        )
        for network in ("mlp", "conv"):
            with served(untrained_run(flags.data, network, Path(folder))) as (url, server):
                print(f"{network}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
                paints = [first_paint(context, url) for _ in range(5)]
                print(f"  first contentful paint: median {median(paints):.0f} ms of {len(paints)}")
                page = context.new_page()
                page.goto(url)
                page.wait_for_selector(".bar-line", timeout=120_000)
                report(page, flags.moves, server, browser_process(profile))
                page.close()
        context.close()


if __name__ == "__main__":
    main()
