"""Data: drawing, opening, reading a folder of images, and batches, each against its floor.

    python benchmarks/data.py [draw] [folder] [batches]

Everything is written below a temporary folder. `folder` compares with Pillow decoding the same
files in one process, times the cores: five times, each right after the other, for other work on the
machine disturbs both. `batches` compares with a plain torch DataLoader over the same images.
"""

import os
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from isavae.data import ImageDataset, dsprites, load

IMAGES, BATCH = 20_000, 2048


def seconds(function, repeats: int = 1) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return median(times)


def draw() -> None:
    for name in ("dsprites", "faces3d-drawn", "cars3d-drawn", "rooms3d-drawn"):
        drawing = seconds(partial(load, name))
        opening = seconds(partial(load, name), 5)
        print(f"{name:<14} drawn and written in {drawing:5.1f} s, opened in {opening * 1e3:.1f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak resident memory {peak:,.0f} MB, torch and Python included")


def folder() -> None:
    place = Path(os.environ["ISAVAE_CACHE"]) / "images"
    place.mkdir()
    cars = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    for k in range(IMAGES):
        Image.fromarray(cars[k % 64].repeat(4, 0).repeat(4, 1)).save(place / f"{k:05}.png")
    files = sorted(place.iterdir())[:4000]
    cores, ratios = os.cpu_count() or 1, []
    for attempt in range(6):
        alone = len(files) / seconds(lambda: [np.asarray(Image.open(file)) for file in files])
        rate = IMAGES / seconds(lambda: load(str(place)))
        for kept in place.parent.glob("*.images"):
            kept.unlink()
        if attempt:  # the first warms the page cache
            ratios.append(rate / (alone * cores))
            print(
                f"{IMAGES:,} PNGs of 64 x 64: {rate:,.0f} images/s; Pillow alone {alone:,.0f} "
                f"in one process: {ratios[-1]:.2f} of it times {cores} cores"
            )
    print(f"median of {len(ratios)}: {median(ratios):.2f}")


class Items(Dataset):
    """One image at a time, as a plain DataLoader wants them."""

    def __init__(self, dataset: ImageDataset):
        self.stored = dataset.stored

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, k: int) -> torch.Tensor:
        return torch.from_numpy(np.unpackbits(self.stored[k]).astype(np.float32)).view(1, 64, 64)


def batches() -> None:
    mapped = dsprites()
    memory = ImageDataset.from_stored("memory", np.array(mapped.stored), mapped.shape)
    steps = iter(range(10**6))
    for name, data in (("memory", memory), ("warm memory map", mapped)):
        data.minibatch(0, 0, BATCH)
        took = seconds(lambda data=data: data.minibatch(0, next(steps), BATCH), 50)
        print(f"{name:<18} {took * 1e3:7.1f} ms a batch of {BATCH}, {1 / took:7.1f} batches/s")
    for workers in (0, os.cpu_count() or 1):
        loader = iter(DataLoader(Items(memory), BATCH, shuffle=True, num_workers=workers))
        next(loader)
        took = seconds(lambda loader=loader: next(loader), 12)
        name = f"DataLoader, {workers}"
        print(f"{name:<18} {took * 1e3:7.1f} ms a batch of {BATCH}, {1 / took:7.1f} batches/s")


def main() -> None:
    chosen = sys.argv[1:] or ["draw", "folder", "batches"]
    with tempfile.TemporaryDirectory() as place:
        os.environ["ISAVAE_CACHE"] = place
        for name in chosen:
            {"draw": draw, "folder": folder, "batches": batches}[name]()


if __name__ == "__main__":
    main()
