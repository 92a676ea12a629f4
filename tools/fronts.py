"""Fronts of MIG against reconstruction: `docs/fronts.md` and its figure from `results/`.

    python -m tools.fronts

From `results/evidence-mid.csv` (runs of the study `evidence-mid`) and `results/priors.csv`
(`benchmarks/priors.py`). The page's words are `tools/fronts.md`.
"""

from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isavae.figures import style
from tools.intervals import difference, median, stratified
from tools.runs import FOUR, PRIORS, medians, read_runs

ROOT = Path(__file__).parents[1]
RUNS, BENCHMARK = ROOT / "results/evidence-mid.csv", ROOT / "results/priors.csv"
PAGE, FIGURE = ROOT / "docs/fronts.md", ROOT / "docs/images/fronts.png"
BETAS = (0.5, 1.0, 2.0, 4.0)
NETWORKS = {"mlp": "the paper's networks", "mlp-silu": "SiLU, blur, falling learning rate"}

# Priors of the study: name on the page -> prior, scale, whether exponents are learned.
STUDY = {name: (*prior, False) for prior, name in PRIORS.items()}
STUDY["ISA, exponents learned"] = ("isa", "1.0", True)
# Exponents of the benchmark: between subspaces, within.
EXPONENTS = {
    "N(0, 1)": (2.0, 2.0),
    "2.1[2.2*2, …]": (2.1, 2.2),
    "3[3*2, …]": (3.0, 3.0),
    "4[4*2, …]": (4.0, 4.0),
    "6[6*2, …]": (6.0, 6.0),
    "10[10*2, …]": (10.0, 10.0),
    "10[2*2, …]": (10.0, 2.0),
}


def write_page() -> None:
    """The page and its figure."""
    runs = read_runs(RUNS)
    priors = pl.read_csv(BENCHMARK)
    sprites = priors.filter(pl.col("set") == "sprites-32")
    style.save(draw(runs, sprites), FIGURE)
    page = (ROOT / "tools/fronts.md").read_text()
    values = {
        "runs": f"{len(runs)}",
        "highest": f"{runs['mig'].max():.2f}",
        "published": study_table(runs, "mlp"),
        "fast": study_table(runs, "mlp-silu"),
        "correlation": correlation_table(runs),
        "effects": effects_table(runs),
        "networks": networks_table(runs),
        "priors": priors_table(sprites),
        "differences": differences_table(sprites),
        "sets": sets_table(priors),
    }
    for name, value in values.items():
        page = page.replace("{{" + name + "}}", value)
    PAGE.write_text(page)


def runs_of(runs: pl.DataFrame, name: str, network: str) -> pl.DataFrame:
    """The runs of a prior with β times the whole KL, sorted by β."""
    prior, scale, learned = STUDY[name]
    here = (pl.col("prior") == prior) & (pl.col("prior_scale") == scale)
    how = (pl.col("learn_exponents") == learned) & (pl.col("network") == network)
    return runs.filter(here & how & pl.col("model").str.ends_with("beta-vae")).sort("beta")


def seeds_of(priors: pl.DataFrame, name: str, beta: float) -> pl.DataFrame:
    p0, p = EXPONENTS[name]
    return priors.filter((pl.col("p0") == p0) & (pl.col("p") == p) & (pl.col("beta") == beta))


def study_table(runs: pl.DataFrame, network: str) -> str:
    """Per prior and β: the median MIG with its interval, and of log p(x given z)."""
    lines = ["| prior | " + " | ".join(f"β = {b:g}" for b in BETAS) + " |", "|---" * 5 + "|"]
    for name in STUDY:
        found = runs_of(runs, name, network)
        if len(found):
            cells = [
                f"{median(some['mig'])} at {some['reconstruction'].median():.1f}"
                for some in (found.filter(pl.col("beta") == b) for b in BETAS)
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def correlation_table(runs: pl.DataFrame) -> str:
    """The models with a total correlation of a weight of its own."""
    lines = [
        "| networks | prior | KL, total correlation | MIG | log p(x given z) |",
        "|---" * 5 + "|",
    ]
    with_weight = pl.col("model").is_in(["beta-tcvae", "factor-vae"])
    groups = runs.filter(with_weight).sort("network", "model", "prior", "beta")
    of = ("network", "model", "prior", "prior_scale", "alpha", "beta", "gamma")
    for (network, model, prior, scale, alpha, beta, gamma), some in groups.group_by(
        of, maintain_order=True
    ):
        name = PRIORS[str(prior), str(scale)]
        weights = (
            f"× {alpha:g}, × {beta:g}" if model == "beta-tcvae" else f"FactorVAE, γ = {gamma:g}"
        )
        lines.append(
            f"| {NETWORKS[str(network)]} | {name} | {weights} | {median(some['mig'])} "
            f"| {some['reconstruction'].median():.1f} |"
        )
    return "\n".join(lines)


def effects_table(runs: pl.DataFrame) -> str:
    """Effects of a prior on the mean MIG, averaged over the four β."""
    normal, half, isa, unit, four, six, cube, learned = STUDY
    wanted = {
        "the paper's claim: ISA as published - N(0, 1)": [(isa, normal)],
        "variance ½ - variance 1, at equal shape": [(half, normal), (isa, unit)],
        "ISA - normal, at equal scale": [(isa, half), (unit, normal)],
        "ISA of unit variance - N(0, 1)": [(unit, normal)],
        "ISA, exponents learned - N(0, 1)": [(learned, normal)],
        "gennorm(4) - N(0, 1)": [(four, normal)],
        "gennorm(6) - N(0, 1)": [(six, normal)],
        "`6[6*4, …]` - N(0, 1)": [(cube, normal)],
        "`6[6*4, …]` - ISA of unit variance": [(cube, unit)],
    }
    lines = ["| effect | " + " | ".join(NETWORKS.values()) + " |", "|---" * 3 + "|"]
    for words, pairs in wanted.items():
        cells = []
        for network in NETWORKS:
            some = [[runs_of(runs, name, network) for name in pair] for pair in pairs]
            if any(not len(found) for pair in some for found in pair):
                cells.append("not run")
                continue
            strata = [
                tuple(found.filter(pl.col("beta") == b)["mig"].to_numpy() for found in pair)
                for pair in some
                for b in BETAS
            ]
            text, p = stratified(strata)
            cells.append(f"{text}, p ≈ {p:.1g}")
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def networks_table(runs: pl.DataFrame) -> str:
    """MIG with either kind of networks over the four priors that both have, per β."""
    lines = [
        "| β | " + " | ".join(NETWORKS.values()) + " | difference [95 %] | p |",
        "|---" * 5 + "|",
    ]
    for beta in BETAS:
        old, new = (
            pl.concat([runs_of(runs, name, network) for name in map(PRIORS.get, FOUR)]).filter(
                pl.col("beta") == beta
            )
            for network in NETWORKS
        )
        said = [
            f"{some['mig'].median():.2f} at {some['reconstruction'].median():.1f}, {len(some)} runs"
            for some in (old, new)
        ]
        text, p = difference(new["mig"].to_numpy(), old["mig"].to_numpy())
        lines.append(f"| {beta:g} | {' | '.join(said)} | {text} | {p:.1g} |")
    return "\n".join(lines)


def priors_table(priors: pl.DataFrame) -> str:
    """Per exponents and β: MIG with its interval, R², latents in use."""
    betas = sorted(priors["beta"].unique())
    lines = ["| prior | " + " | ".join(f"β = {b:g}" for b in betas) + " |"]
    lines.append("|---" * (len(betas) + 1) + "|")
    for name in EXPONENTS:
        cells = []
        for beta in betas:
            some = seeds_of(priors, name, beta)
            cells.append(
                f"{median(some['mig'])}, R² {some['r2'].median():.2f}, {some['latents'].median():g}"
            )
        lines.append(f"| `{name}` | {' | '.join(cells)} |".replace("`N(0, 1)`", "N(0, 1)"))
    return "\n".join(lines)


def sets_table(priors: pl.DataFrame) -> str:
    """The MIG of every prior on each set of images, and the median R² of all."""
    names = " | ".join(name if name == "N(0, 1)" else f"`{name}`" for name in EXPONENTS)
    lines = [f"| images | β | R² | {names} |", "|---" * (len(EXPONENTS) + 3) + "|"]
    for (images,), here in priors.group_by("set", maintain_order=True):
        for beta in (8.0, 16.0, 32.0):
            cells = [median(seeds_of(here, name, beta)["mig"].drop_nulls()) for name in EXPONENTS]
            r2 = here.filter(pl.col("beta") == beta)["r2"].median()
            lines.append(f"| {images} | {beta:g} | {r2:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences_table(priors: pl.DataFrame) -> str:
    """Differences from the normal prior at the same β, with the p of Mann-Whitney tests."""
    lines = ["| prior - N(0, 1) | β = 8 | β = 16 | β = 32 |", "|---" * 4 + "|"]
    for name in [*EXPONENTS][1:]:
        cells = []
        for beta in (8.0, 16.0, 32.0):
            ours, normal = (
                seeds_of(priors, each, beta)["mig"].to_numpy() for each in (name, "N(0, 1)")
            )
            text, p = difference(ours, normal)
            cells.append(f"{text}, p = {p:.1g}")
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


@style.applied
def draw(runs: pl.DataFrame, priors: pl.DataFrame) -> Figure:
    """Left: the study, by networks and prior. Right: the benchmark."""
    figure = style.new_figure(style.PAGE, 3.2)
    left, right = figure.subplots(1, 2)
    for network, fill in (("mlp", "none"), ("mlp-silu", "full")):
        for k, name in enumerate(STUDY):
            some = medians(
                runs_of(runs, name, network), "beta", "reconstruction", "mig", spread="mig"
            )
            label = name if (network == "mlp-silu") == (k in (0, 1, 2, 3, 6)) else None
            _plot(left, some["reconstruction"], some["mig"], k, label, fill, "-")
            left.vlines(
                some["reconstruction"],
                some["low"],
                some["high"],
                style.colour(k),
                lw=0.7,
                alpha=0.6,
            )
    left.set_xlim(-70, -18)
    left.set_xlabel("log p(x given z), nats")
    left.set_title(
        "medians and quartiles of ten seeds; open: the paper's networks; filled: SiLU, blur",
        fontsize=6.5,
    )
    for k, name in enumerate(EXPONENTS):
        some = priors.filter(pl.col("p0") == EXPONENTS[name][0], pl.col("p") == EXPONENTS[name][1])
        line = medians(some, "beta", "r2", "mig", spread="mig").filter(pl.col("r2") > 0.7)
        _plot(right, line["r2"], line["mig"], k, name, "full", "-")
    right.set_xlabel("R² of held-out images (β = 64 at the left to 4)")
    right.set_title("medians of ten seeds, total correlation five times", fontsize=6.5)
    for axes in (left, right):
        axes.set_ylim(0, 0.55)
        axes.set_ylabel("MIG")
        axes.legend(fontsize=5.5)
    return figure


def _plot(
    axes: Axes, x: pl.Series, y: pl.Series, k: int, label: str | None, fill: str, line: str = "none"
) -> None:
    look = {"color": style.colour(k), "marker": style.MARKERS[k], "linestyle": line}
    axes.plot(x, y, ms=3.5, lw=0.9, alpha=0.8, label=label, fillstyle=fill, **look)


if __name__ == "__main__":
    write_page()
