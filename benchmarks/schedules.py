"""Does a beta that changes during training line latents up better than a constant one?

    python benchmarks/schedules.py OUT [--sets sprites-32 heads-32] [--seeds 10] [--workers 2]

The recipe of `isavae fit` (its network, blur, calibrated pixels and learning rate) on the images of
`axes.py`, with the normal prior and with the one that `fit` proposes, and the KL times: a constant;
a number that falls, or rises, in the first 70 % of the steps; what ControlVAE's controller finds
for a capacity; and the objectives of `fit`, constant and falling. Runs are a study in OUT, so that
a stopped one goes on. One line per setting: medians over seeds of R² of held-out images, latents in
use and MIG of binned means, and the MIG's quartiles.
"""

import argparse
import csv
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import yaml
from axes import codes_of
from axes_images import SETS, Images, images_of

from isavae.fitting.proposal import BLUR, NETWORK, Proposal
from isavae.metrics import binned_mig, informative
from isavae.runs import Run, TrainedModel
from isavae.studies import LocalEngine, PlannedRun, Study, StudyDirectory, run_study

STEPS, FALLING = 5000, 0.7
PRIORS = ("2*10", "6[6*2, 6*2, 6*2, 6*2, 6*2]")


def schedule(*factors: float) -> list[list[float]]:
    """Factors at equal distances in the first part of training."""
    last = FALLING * STEPS
    return [[round(k * last / (len(factors) - 1)), f] for k, f in enumerate(factors)]


def objectives() -> dict[str, dict[str, object]]:
    def kl(beta: float, *factors: float) -> dict[str, object]:
        changing = {"schedule": schedule(*factors)} if factors else {}
        return {"name": "beta-vae", "beta": beta, **changing}

    found = {f"beta {beta}": kl(beta) for beta in (4.0, 16.0, 64.0)}
    found |= {
        "beta 64 to 4": kl(4.0, 16.0, 8.0, 4.0, 2.0, 1.0),
        "beta 64 to 16": kl(16.0, 4.0, 2.0, 1.0),
        "beta 4 to 64": kl(64.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
    }
    for capacity in (8.0, 12.0, 16.0):
        found[f"capacity {capacity:g}"] = {
            "name": "control-vae",
            "capacity": capacity,
            "capacity_steps": round(FALLING * STEPS),
            "integral": 0.01,
            "highest": 256.0,
        }
    of_fit = Proposal({"steps": STEPS}, (4.0, 16.0), 1, (), first_beta=16.0)
    return found | {"fit, 16": of_fit.objective(16.0), "fit, 16 to 4": of_fit.objective(4.0)}


def study_of(images: Images, folder: Path, seeds: int) -> Study:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = (images.train * 255).round().numpy().astype(np.uint8)
    if not (folder / "images.npy").exists():
        np.save(folder / "images.npy", pixels)
    common = {
        "data": str((folder / "images.npy").resolve()),
        "prior_scale": "standardised",
        "likelihood": "gaussian-calibrated",
        **NETWORK,
        "batch_size": 64,
        "blur": images.train.shape[-1] * BLUR,
        "learning_rate_end": 0.05,
        "steps": STEPS,
        "precision": "float32",
    }
    runs = [{"prior": p, "objective": o} for p in PRIORS for o in objectives().values()]
    values = {"name": "schedules", "seeds": seeds, "settings": common, "runs": runs}
    return Study.parse(yaml.safe_dump(values | {"resources": {"cpus": 1}}))


def scores(run: PlannedRun, directory: StudyDirectory, images: Images) -> dict[str, float]:
    model = TrainedModel.from_run(Run.open(directory.run_path(run.id)))
    codes = codes_of(model, images)
    held = images.held_out
    rest = (held - model.decode(model.encode(held)[0])).square().sum()
    spread = (held - images.train.mean(0)).square().sum()
    return {
        "r2": 1 - float(rest / spread),
        "latents": float(informative(codes).sum()),
        "mig": binned_mig(codes).value,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=("sprites-32", "heads-32"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    rows = []
    for name in args.sets:
        images = images_of(name, 0)
        study = study_of(images, args.out / name, args.seeds)
        directory = StudyDirectory(args.out / name / "study")
        run_study(study, directory, LocalEngine(args.workers))
        settings = [(prior, said) for prior in PRIORS for said in objectives()]
        for number, (prior, said) in enumerate(settings):
            runs = study.runs[number * args.seeds : (number + 1) * args.seeds]
            found = [scores(r, directory, images) for r in runs if directory.is_done(r.id)]
            migs = [each["mig"] for each in found]
            low, _, high = quantiles(migs, n=4, method="inclusive")
            middle = {key: median(each[key] for each in found) for key in ("r2", "latents", "mig")}
            row = {"set": name, "prior": prior, "objective": said, "runs": len(found), **middle}
            rows.append(row | {"mig_low": low, "mig_high": high})
            print(
                "  ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in rows[-1].values())
            )
    with (args.out / "schedules.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
