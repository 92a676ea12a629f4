"""Every reader on damaged copies of true files: a sentence, or what was written, and nothing else.

`python -m tests.campaign.readers SEED CASES` prints one line per fault, and one in the end.
"""

import json
import os
import random
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from isavae.data import FactorGrid, ImageDataset, Preprocessing, import_official, load
from isavae.data.cache import read, write
from isavae.data.own.arrays import read_array
from isavae.data.own.factor_table import read_factors
from isavae.data.own.open import open_path
from isavae.explorer.uploads import read_upload
from isavae.fitting.codes_table import codes_table, read_codes, write_table
from isavae.fitting.output_folder import OutputFolder
from isavae.fitting.proposal import Budget, propose
from isavae.fitting.training_images import read_training_images
from isavae.metrics import Codes
from isavae.models import build_prior
from isavae.runs import Run, RunConfig, TrainedModel, execute
from isavae.runs.execution import _read_checkpoint
from isavae.studies import RunRecord, Study, StudyDirectory, results
from tests.campaign.effort import Effort
from tests.official_files import small, write_file

# What a reader may raise: the command line prints it as one sentence.
SENTENCES = (ValueError, OSError, ArithmeticError, ImportError)
HANG_SECONDS, MOST_BYTES = 20.0, 2 << 30
DATA = "dsprites16[shape=heart, scale=0, orientation=0]"
OFFICIAL = ("dsprites-official", "faces3d", "shapes3d", "mpi3d-toy", "smallnorb")
STUDY = "name: s\nseeds: 2\nruns: [{model: [vae, isa-vae], beta: [1, 2], steps: 9}]\n"

Reader = Callable[[], Any]


def true_files(folder: Path) -> dict[Path, tuple[Reader, bool]]:
    """Every file with its reader, and whether it is ours, so that damage must be noticed."""
    made = _of_run(folder) | _of_fit(folder) | _of_data(folder)
    return made | _of_others(folder) | _of_images(folder)


def _of_run(folder: Path) -> dict[Path, tuple[Reader, bool]]:
    settings = {"data": DATA, "prior": "2[2*2]", "steps": 2, "batch_size": 8, "width": 4}
    study = StudyDirectory(folder / "study")
    study.initialise(Study.parse(STUDY))
    run = Run.create(study.run_path("a"), RunConfig.parse(settings))
    execute(run, load(DATA))
    run.write_scores({"mig": {"value": 0.5, "standard_error": 0.25}, "data": "some"})
    results(study.path)

    def model() -> Any:
        loaded = TrainedModel.load(run.model_path)
        return loaded.config, [value.tolist() for value in loaded.vae.state_dict().values()]

    def state() -> Any:
        saved = _read_checkpoint(run)
        assert saved is not None
        weights = [value.tolist() for value in saved["model"].values()]
        return weights, saved["step"], saved["threads"], saved["precision"]

    def config() -> Any:
        return Run.open(run.path).config

    def scores() -> Any:
        return {name: (run.scores() or {}).get(name) for name in ("mig", "data")}

    return {
        run.model_path: (model, True),
        run.state_path: (state, True),
        run.path / "config.json": (config, True),
        run.path / "scores.json": (scores, True),
        run.path / "log.jsonl": (run.log, False),
        study.path / "results-index.json": (lambda: results(study.path).to_dicts(), True),
        study.path / "study.yaml": (lambda: [run.id for run in study.study().runs], True),
        _record(study): (lambda: study.record("a").steps, False),
    }


def _record(study: StudyDirectory) -> Path:
    study.write_record("a", RunRecord(steps=2))
    return study.run_path("a") / "work.json"


def _of_fit(folder: Path) -> dict[Path, tuple[Reader, bool]]:
    output = OutputFolder(folder / "fit")
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    source = ImageDataset.from_stored("some", images, (1, 8, 8))
    found = read_training_images(source)
    proposal = propose(found, prior=None, likelihood=None, beta=(), seeds=2, learn_exponents=False)
    output.decide(found, proposal, Budget(60.0, 1, 5), {})
    latents = ["z1", "z2"]
    table = codes_table("abc", Codes(np.eye(3, 2), np.zeros((3, 2))), latents)
    tables = [folder / "codes.csv", folder / "codes.parquet"]
    for path in tables:
        write_table(table, path)

    def decided() -> Any:
        if (found := output.decisions(source, {})) is None:
            raise ValueError("nothing was decided")
        return found

    return {
        output.path / "fit.json": (decided, True),
        output.images: (decided, True),
        **{path: (lambda p=path: read_codes(p, latents), False) for path in tables},
    }


def _of_data(folder: Path) -> dict[Path, tuple[Reader, bool]]:
    kept = folder / "some.images"
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
    grid = FactorGrid(("a", "b"), (3, 4)).take(np.arange(12))
    write(kept, "some/1", (1, 8, 8), [images], grid)

    def cache() -> Any:
        if (found := read(kept, "some/1")) is None:
            raise ValueError("drawn again")
        return found.stored.tolist(), found.grid.labels.tolist()

    files: dict[Path, tuple[Reader, bool]] = {kept: (cache, True)}
    for name in OFFICIAL:
        place = write_file(name, _made(folder / name))
        for path in sorted([place] if place.is_file() else place.iterdir()):
            files[path] = (lambda n=name, p=place: import_official(n, p, False, small(n)), False)
    return files


def _of_others(folder: Path) -> dict[Path, tuple[Reader, bool]]:
    images = np.zeros((4, 8, 8, 3), np.uint8)
    paths = [folder / f"own.{suffix}" for suffix in ("npy", "npz", "h5")]
    np.save(paths[0], images)
    np.savez_compressed(paths[1], images=images)
    with h5py.File(paths[2], "w") as file:
        file.create_dataset("images", data=images, compression="gzip")

    def array(path: Path) -> Any:
        return sum(len(block) for block in read_array(path)[0].blocks)

    table = folder / "factors.csv"
    table.write_text("size,colour\n1,red\n2,blue\n1,blue\n")
    settings = folder / "run.yaml"
    settings.write_text("prior: '2.1[2.2*2, 2.2*2]'\nobjective: {name: beta-vae, beta: 2}\n")
    prior = folder / "prior.txt"
    prior.write_text("2.1[2.2*2, 3[1.5*2, z]]")
    return {
        **{path: (lambda p=path: array(p), False) for path in paths},
        table: (lambda: read_factors(table, 3, by_order=True), False),
        settings: (lambda: RunConfig.from_file(settings), False),
        prior: (lambda: build_prior(prior.read_text()), False),
    }


def _of_images(folder: Path) -> dict[Path, tuple[Reader, bool]]:
    """One image of every format and depth, read as a file, as an upload and in a folder."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 4), dtype=np.uint8)
    images = {
        "grey": Image.fromarray(pixels[..., 0]),
        "colour": Image.fromarray(pixels[..., :3]),
        "clear": Image.fromarray(pixels),
        "deep": Image.fromarray(pixels[..., 0].astype(np.uint16) * 257),
        "real": Image.fromarray(pixels[..., 0].astype(np.float32)),
    }
    how = Preprocessing((8, 8), "crop", 3)
    files: dict[Path, tuple[Reader, bool]] = {}
    for name, image in images.items():
        for suffix in (".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".ppm", ".jp2", ".tga"):
            path = folder / f"{name}{suffix}" / f"a{suffix}"
            path.parent.mkdir()
            with suppress(OSError, KeyError, ValueError):  # not every format holds every image
                image.save(path)
                files[path] = (lambda p=path: _images(p, how), False)
    return files


def _images(path: Path, how: Preprocessing) -> Any:
    """An image as the explorer and `load` read it."""
    with suppress(ValueError):
        read_upload(path.read_bytes(), how)
    return len(open_path(path.parent, size=(8, 8), fit="crop"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def damaged(content: bytes, seeded: random.Random) -> bytes:
    """A copy with a flipped bit, a cut, a hole, a repetition, an extreme number or no content."""
    at, length = seeded.randrange(len(content)), seeded.choice((1, 4, 8, 64, 4096))
    bit = 1 << seeded.randrange(8)
    extreme = seeded.choice((b"\xff", b"\x00", b"\x7f", b"[", b"9", b"-"))
    return seeded.choice(
        (
            lambda: content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :],
            lambda: content[:at],
            lambda: content[:at] + bytes(length) + content[at + length :],
            lambda: content[:at] + content[at : at + length] * 2 + content[at + length :],
            lambda: content[:at] + extreme * length + content[at + length :],
            lambda: content[at:],
            lambda: b"",
        )
    )()


def fault_of(read_again: Reader, ours: bool, before: Any) -> str | None:
    """What a reader did wrong with a damaged file; None if nothing."""
    effort = Effort()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            after = read_again()
    except SENTENCES:
        after = before
    except Exception as error:
        return f"traceback: {error!r:.200}"
    if ours and json.dumps(after, default=repr) != json.dumps(before, default=repr):
        return "wrong acceptance"
    return "hang" if effort.hangs(HANG_SECONDS) else None


def main(seed: int, cases: int) -> int:
    """Read damaged files; return the number of faults."""
    seeded, faults = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ISAVAE_CACHE"] = f"{folder}/cache"
        files = true_files(Path(folder))
        contents = {path: path.read_bytes() for path in files}
        before = {path: reader() if ours else None for path, (reader, ours) in files.items()}
        for case in range(cases):
            path = seeded.choice(list(files))
            path.write_bytes(damaged(contents[path], seeded))
            fault = fault_of(*files[path], before[path])
            path.write_bytes(contents[path])
            if fault:
                faults += 1
                print(f"seed {seed}, case {case}, {path.name}: {fault}", flush=True)
    if (peak := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) > MOST_BYTES:
        faults += 1
        print(f"seed {seed}: {peak:,} bytes of memory")
    print(f"seed {seed}: {cases:,} damaged files, {faults} faults", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]), int(sys.argv[2]))))
