"""Evidence for the paper's claims: a study's codes, its table in `results/`, `docs/evidence.md`.

    python -m tools.evidence codes STUDY CODES.npz            # needs the weights of the runs
    python -m tools.evidence table STUDY TABLE.csv --codes CODES.npz... [--machine TEXT]
    python -m tools.evidence page                             # from results/

The page's words are `tools/evidence.md`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy import stats

from isavae.data import load
from isavae.evaluation import encode_all
from isavae.figures import style
from isavae.metrics import Codes, udr_ranking
from isavae.runs import Run
from isavae.studies import results, select
from tools import angles
from tools.along_training import IMAGES, SEED, position_axes
from tools.intervals import difference, median, stratified
from tools.runs import FOUR, PRIORS, read_runs

ROOT = Path(__file__).parents[1]
TABLE, PAGE = ROOT / "results/evidence-full.csv", ROOT / "docs/evidence.md"
FIGURE = ROOT / "docs/images/evidence-full.png"
GROUP = "model prior prior_scale network beta schedule".split()
KEPT = [*GROUP, *"seed steps batch_size mig dci reconstruction kl seconds".split()]


def keep_codes(study: Path, out: Path) -> None:
    """The mean and log-std of q(z|x) of 5,000 images, the same for all finished runs."""
    kept: dict[str, np.ndarray] = {}
    runs = [Run.open(path) for path in results(study).filter(pl.col("status") == "done")["path"]]
    images = load(runs[0].config.data).sample(IMAGES, SEED)  # a study has one data set
    for run in runs:
        codes = encode_all(run.load_model(), images)
        kept[f"{run.path.name}/mean"] = codes.mean.half().numpy()
        kept[f"{run.path.name}/log_std"] = codes.log_std.half().numpy()
    np.savez_compressed(out, **kept)


def make_table(study: Path, out: Path, codes: list[Path], machine: str) -> None:
    """One row per finished run: settings, scores, agreement with other seeds, and axes.

    DCI is among the scores where `isavae evaluate RUN --metrics dci` was given for each run.
    """
    runs = results(study).filter(pl.col("status") == "done")
    kept = {name: array for path in codes for name, array in np.load(path).items()}
    rows = []
    wanted = [name for name in KEPT if name in runs.columns]
    for row in runs.select("run", "path", "data", *wanted).to_dicts():
        path = Path(row.pop("path"))
        scores = json.loads((path / "scores.json").read_text())
        start = json.loads((path / "log.jsonl").read_text().splitlines()[0])
        row |= {f"mig_{name}": value for name, value in scores["mig"]["per_factor"].items()}
        row |= {name: start[name] for name in ("device", "precision", "torch", "isavae")}
        rows.append(row | {"machine": machine})
    by_group: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for row in rows:
        by_group.setdefault(tuple(row[name] for name in GROUP), []).append(row)
    labels = load(rows[0]["data"]).sample(IMAGES, SEED).grid
    for group in by_group.values():
        some = [_codes(kept, str(row["run"])) for row in group]
        for row, codes_of_run, udr in zip(group, some, udr_ranking(some, "spearman"), strict=True):
            row |= {"udr": udr.value, **position_axes(codes_of_run.mean.numpy(), labels)}
    table = pl.DataFrame(rows).sort(*GROUP, "seed")
    table.with_columns(pl.col(pl.Float64).round(5)).write_csv(out)


def _codes(kept: dict[str, np.ndarray], run: str) -> Codes:
    return Codes(*(torch.from_numpy(kept[f"{run}/{name}"]).float() for name in ("mean", "log_std")))


def write_page() -> None:
    """The page and its figure."""
    runs = read_runs(TABLE)
    style.save(_figure(runs), FIGURE)
    style.save(angles.draw(), FIGURE.with_name("angles.png"))
    template = (ROOT / "tools/evidence.md").read_text()
    values = {
        "groups": _groups(runs),
        "effects": _effects(runs),
        "comparisons": _comparisons(runs),
        "needed": _needed(runs),
        "runs": f"{len(runs)}",
        "seconds": f"{runs['seconds'].median():.0f}",
        "angles": angles.angles_table(),
        "exponents": angles.exponents_table(),
    }
    for name, value in values.items():
        template = template.replace("{{" + name + "}}", value)
    PAGE.write_text(template)


def _of(runs: pl.DataFrame, prior: tuple[str, str], beta: float, objective: str) -> pl.DataFrame:
    here = (pl.col("prior") == prior[0]) & (pl.col("prior_scale") == prior[1])
    kind = pl.col("model").str.ends_with("tcvae") == (objective == "tc")
    return runs.filter(here & kind & (pl.col("beta") == beta))


def _cells(runs: pl.DataFrame):
    """Every group: its name, prior, β and runs."""
    for objective, suffix in (("vae", ""), ("tc", ", TC")):
        for beta in (1, 2):
            for prior in FOUR:
                found = _of(runs, prior, beta, objective)
                if len(found):
                    yield PRIORS[prior] + suffix, prior, beta, found


def _groups(runs: pl.DataFrame) -> str:
    lines = [
        "| prior | β | seeds | MIG, median [95 %] | log p(x given z) | KL | angle | UDR "
        "| representative: MIG, log p |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, _, beta, found in _cells(runs):
        chosen = select(
            found.with_columns(
                pl.lit("done").alias("status"), pl.lit(None, pl.String).alias("path")
            )
        ).row(0, named=True)
        lines.append(
            f"| {name} | {beta} | {len(found)} | {median(found['mig'], 3)} "
            f"| {found['reconstruction'].median():.1f} | {found['kl'].median():.1f} "
            f"| {found['angle'].median():.0f}° | {found['udr'].median():.2f} "
            f"| {chosen['mig']:.2f}, {chosen['reconstruction']:.1f} |"
        )
    return "\n".join(lines)


def _comparisons(runs: pl.DataFrame) -> str:
    normal, half, isa, unit = FOUR
    wanted = [
        ("the paper's claim: ISA as published - N(0, 1)", isa, normal),
        ("at equal scale: ISA as published - N(0, ½)", isa, half),
        ("at equal scale: ISA of unit variance - N(0, 1)", unit, normal),
        ("scale alone: N(0, ½) - N(0, 1)", half, normal),
    ]
    lines = ["| comparison | β | difference of medians [95 %] | p |", "|---|---|---|---|"]
    for name, a, b in wanted:
        for beta in (1, 2):
            first, second = (_of(runs, prior, beta, "vae")["mig"].to_numpy() for prior in (a, b))
            text, p = difference(first, second, 3)
            lines.append(f"| {name} | {beta} | {text} | {p:.3f} |")
    first, second = (_of(runs, prior, 2, "tc")["mig"].to_numpy() for prior in (isa, normal))
    text, p = difference(first, second, 3)
    lines.append(f"| ISA-TCVAE - β-TCVAE, {len(first)} seeds each | 2 | {text} | {p:.3f} |")
    return "\n".join(lines)


def _effects(runs: pl.DataFrame) -> str:
    """Effects of scale and shape on the mean MIG, within each β and each level of the other."""
    normal, half, isa, unit = FOUR
    wanted = {
        "variance ½ instead of 1 (at equal shape)": ((half, normal), (isa, unit)),
        "subspaces instead of a normal prior (at equal scale)": ((isa, half), (unit, normal)),
    }
    lines = ["| effect on the mean MIG | difference | p |", "|---|---|---|"]
    for words, pairs in wanted.items():
        strata = [[_of(runs, p, b, "vae")["mig"] for p in pair] for pair in pairs for b in (1, 2)]
        text, p = stratified([(first.to_numpy(), second.to_numpy()) for first, second in strata])
        lines.append(f"| {words} | {text} | {p:.4f} |")
    return "\n".join(lines)


def _needed(runs: pl.DataFrame) -> str:
    """Seeds per group that would show the difference of two groups in 4 of 5 experiments."""
    rng, (normal, half, isa, _) = np.random.default_rng(0), FOUR
    found = []
    for a, b, name in ((isa, normal, "ISA as published against N(0, 1)"),
                       (isa, half, "ISA as published against N(0, ½)")):  # fmt: skip
        first, second = (_of(runs, prior, 1, "vae")["mig"].to_numpy() for prior in (a, b))
        for n in (10, 15, 20, 30, 40, 60, 80, 120, 200, 400):
            draws = rng.choice(first, (1000, n)), rng.choice(second, (1000, n))
            power = (stats.mannwhitneyu(*draws, axis=1).pvalue < 0.05).mean()
            if power >= 0.8:
                found.append(f"{name}: {n}")
                break
        else:
            found.append(f"{name}: more than 400")
    return "; ".join(found)


@style.applied
def _figure(runs: pl.DataFrame):
    """MIG of every seed, and MIG against reconstruction."""
    figure = style.new_figure(style.PAGE, 3.1)
    seeds, front = figure.subplots(1, 2, width_ratios=(1.25, 1))
    rng = np.random.default_rng(0)
    names = []
    for place, (name, prior, beta, found) in enumerate(_cells(runs)):
        mig, k = found["mig"].to_numpy(), FOUR.index(prior)
        look = {"color": style.colour(k), "marker": style.MARKERS[k], "linestyle": "none"}
        seeds.plot(place + rng.uniform(-0.18, 0.18, len(mig)), mig, alpha=0.6, ms=3.5, **look)
        seeds.plot([place - 0.32, place + 0.32], [np.median(mig)] * 2, color=style.INK, lw=1.4)
        names.append(f"{name}, β = {beta}")
        if "TC" not in name:
            front.plot(
                found["reconstruction"], mig, ms=3.5, alpha=0.75,
                fillstyle="full" if beta == 1 else "none", **look,
                label=name if beta == 1 else None,
            )  # fmt: skip
    seeds.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=6.5)
    seeds.set_ylabel("MIG (bar: median)")
    front.set_xlabel("log p(x given z), nats (filled: β = 1, open: β = 2)")
    front.legend(fontsize=6.5)
    for axes in (seeds, front):
        axes.set_ylim(0, 0.6)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    codes = verbs.add_parser("codes")
    codes.add_argument("study", type=Path)
    codes.add_argument("out", type=Path)
    table = verbs.add_parser("table")
    table.add_argument("study", type=Path)
    table.add_argument("out", type=Path)
    table.add_argument("--codes", type=Path, nargs="+", required=True)
    table.add_argument("--machine", default="")
    verbs.add_parser("page")
    given = parser.parse_args()
    if given.verb == "codes":
        keep_codes(given.study, given.out)
    elif given.verb == "table":
        make_table(given.study, given.out, given.codes, given.machine)
    else:
        write_page()


if __name__ == "__main__":
    main()
