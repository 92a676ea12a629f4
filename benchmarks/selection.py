"""Does choosing without labels choose well? `isavae fit` on pictures whose factors it is not told.

Each repetition draws other pictures of one kind as PNG files, fits them, and then reveals the
factors: where is the chosen model among the candidates by MIG?

`python benchmarks/selection.py OUT --steps 3000`, in minutes on one core, goes on where it stopped;
the pictures, the runs and `selection.jsonl` stay in the folder OUT.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from advice import heads, sprites, vehicles

from isavae.data import ImageDataset
from isavae.data.tiles import png, tile
from isavae.files import atomic_write
from isavae.fit import fit_folder
from isavae.metrics import Codes, mig

KINDS = (sprites, heads, vehicles, sprites, heads)
PICTURES = 400


def draw(data: ImageDataset, folder: Path) -> None:
    """Every image as a PNG file."""
    for row in range(len(data)):
        with atomic_write(folder / f"{row:05d}.png") as file:
            file.write(png(tile(data.batch([row]), 1)))


def repeat(number: int, steps: int, out: Path) -> dict[str, Any]:
    """One repetition: the MIG of the chosen model, and of all candidates."""
    kind = KINDS[number]
    data = kind().sample(number, PICTURES)
    pictures = out / f"pictures{number}"
    if not pictures.exists():
        draw(data, pictures)
    fitted = fit_folder(pictures, out / f"fit{number}", 7200, workers=1, steps=steps)
    migs = [
        mig(Codes(one.codes.mean, one.codes.log_std, data.grid)).value for one in fitted.candidates
    ]
    chosen = migs[fitted.candidates.index(fitted.chosen)]
    return {
        "kind": kind.__name__,
        "repetition": number,
        "steps": steps,
        "mig": chosen,
        "rank": 1 + sum(other > chosen for other in migs),
        "candidates": [
            {
                "beta": one.beta,
                "seed": one.seed,
                "udr": one.udr,
                "used": one.used,
                "reconstruction": one.reconstruction,
                "kl": one.kl,
                "mig": value,
            }
            for one, value in zip(fitted.candidates, migs, strict=True)
        ],
        "upper half": bool(chosen >= np.median(migs)),
    }


def main() -> None:
    """Run the repetitions that are missing in the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "selection.jsonl"
    lines = [json.loads(line) for line in record.open()] if record.exists() else []
    for number in range(len(lines), len(KINDS)):
        lines.append(repeat(number, options.steps, options.out))
        with record.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    for line in lines:
        print(f"{line['kind']:<9} MIG {line['mig']:.3f}, rank {line['rank']} of", end=" ")
        print(f"{len(line['candidates'])}, upper half: {line['upper half']}")


if __name__ == "__main__":
    main()
