"""A study as one HTML file: it needs no network, no server and no other file."""

import re
import zlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl
from matplotlib.figure import Figure

from isavae import __version__
from isavae.figures import (
    encode,
    exponent_histograms,
    learning_curves,
    mig_distributions,
    trade_off,
)
from isavae.figures.style import SCREEN_DPI
from isavae.files import atomic_write
from isavae.metrics import informative
from isavae.pages import fixed, render_page
from isavae.report.numbered_figures import learned_exponents, with_series
from isavae.report.run_figures import RunFigures
from isavae.runs import Run, RunConfig
from isavae.runs.config import name_without_folders
from isavae.runs.moved_images import FIT_FILE
from isavae.studies import finished, group_columns, results, select, summarise

# With at most this many finished runs, all are drawn; otherwise the representative ones.
FEW = 12
# Score -> what its best group is called, the decimals of a value, its unit.
BEST = {
    "mig": ("Highest MIG", 3, ""),
    "reconstruction": ("Highest log p(x|z)", 2, " nats"),
}

Drawn = Literal["auto", "chosen", "all", "none"]


def write_report(study: str | Path, out: str | Path | None = None, figures: Drawn = "auto") -> Path:
    """Write the report of a study; return its path.

    Args:
        study: A study directory, any directory of run directories, or a folder of `isavae fit`,
            whose own `report.html` stays.
        out: The file; by default `report.html` in the directory.
        figures: Which runs are drawn, by latent sheet and traversals: those that the
            representative rule chooses, all that are done, or none; "auto" is all up to twelve.

    Raises:
        ValueError: The directory has no runs.
    """
    if Path(study, FIT_FILE).is_file():
        study = Path(study, "study")
    target = Path(study, "report.html") if out is None else Path(out)
    page = render(Path(study), figures)
    with atomic_write(target) as file:
        file.write(page.encode(errors="backslashreplace"))  # names of folders may be no UTF-8
    return target


def render(study: Path, figures: Drawn = "auto") -> str:
    """The report of a study as HTML text.

    Args:
        study: A study directory, or a folder of run directories.
        figures: The runs that are drawn: chosen ones, all or none; "auto" draws all of up to 12.

    Raises:
        ValueError: If there is no run.
    """
    table = results(study)
    if table.is_empty():
        raise ValueError(f"a report needs a study with runs, but {study} has none; run it first")
    names = table["data"].drop_nulls().unique().to_list() if "data" in table.columns else []
    shortened = partial(_without_folders, names)
    texts = pl.col("^(data|error)$").cast(pl.String)
    table = table.with_columns(texts.map_elements(shortened, return_dtype=pl.String))
    done, title = finished(table), _title(study.resolve())
    varying, shared, defaults = _settings(table)
    return render_page(
        "report/study_report.html",
        anchor=anchor,
        title=title,
        findings=_findings(table),
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        counts=dict(table["status"].value_counts().sort("status").iter_rows()),
        varying=varying,
        shared=shared,
        defaults=defaults,
        study_file=shortened(_text(study / "study.yaml")),
        **_scores(table),
        exponents=_exponents(table),
        cards=_cards(done, figures) if len(done) else [],
        runs=table.to_dicts(),
        failures=table.filter(pl.col("status").is_in(["failed", "corrupt"])).to_dicts(),
    )


def _title(study: Path) -> str:
    """The name of the folder; with that of the fit that it belongs to."""
    fit = study.parent
    return f"{fit.name} / {study.name}" if (fit / FIT_FILE).is_file() else study.name


def _findings(table: pl.DataFrame) -> list[str]:
    """The results in words: the groups of runs that are best by MIG and by reconstruction."""
    known = [name for name in BEST if len(finished(table, (name,)))]
    groups = summarise(table, known)
    settings = [name for name in group_columns(table) if name not in ("model", "beta")]
    found = []
    for name in known:
        mean = f"{name}_mean"
        best = groups.filter(pl.col(mean).is_finite()).sort(mean).row(-1, named=True)
        words = [best["model"]]
        words += [f"{key} {best[key]}" for key in settings if best[key] is not None]
        words += [f"β = {best['beta']:g}"] if best["beta"] is not None else []
        label, digits, unit = BEST[name]
        error = "" if best[f"{name}_se"] is None else f" ± {best[f'{name}_se']:.{digits}f}"
        found.append(
            f"{label}: {', '.join(words)}, with {fixed(best[mean], digits)}{error}{unit}, the mean "
            f"over {best['done']} run{'' if best['done'] == 1 else 's'}."
        )
    return found or ["No run has scores yet: `isavae evaluate` gives them."]


def _scores(table: pl.DataFrame) -> dict[str, Any]:
    """The summary by model and β, and the figures of the trade-off where factors are known."""
    measure = "mig" if len(finished(table, ("mig", "reconstruction"))) else "kl"
    if not len(finished(table, (measure, "reconstruction"))):
        return {"summary": None, "trade_off": None}
    groups, named = summarise(table, (measure, "reconstruction")), with_series(table)
    scored = (f"{measure}_", "reconstruction_")
    settings = [name for name in groups.columns if not name.startswith(scored)]
    shown = {"summary": groups.to_dicts(), "groups": settings, "measure": measure}
    if measure == "kl":
        return shown | {"trade_off": None}
    return shown | {
        "trade_off": svg(trade_off(named, "series", link=lambda run: f"#{anchor(run)}")),
        "distributions": svg(mig_distributions(named, None, "series")),
    }


def svg(figure: Figure) -> str:
    """A figure as an SVG element that scales with the page.

    Identifiers are made unique to the element, for those of two figures on one page may coincide.
    """
    text = encode(figure, "svg").decode()
    element = text[text.index("<svg") :]
    element = re.sub(r' (?:width|height)="[^"]*"', "", element, count=2)
    element = element.replace(' target="_blank"', "")  # links lead within the page
    prefix = f"f{zlib.crc32(element.encode())}-"
    element = re.sub(r'\bid="', f'id="{prefix}', element)
    element = re.sub(r'xlink:href="#(?!run-)', f'xlink:href="#{prefix}', element)
    return re.sub(r"url\(#", f"url(#{prefix}", element)


def anchor(run: str) -> str:
    """The fragment of a run's place in the page.

    >>> anchor("isa-vae β=1")
    'run-isa-vae-1'
    """
    return "run-" + re.sub(r"[^A-Za-z0-9.]+", "-", run)


def _settings(
    table: pl.DataFrame,
) -> tuple[dict[str, list[str]], dict[str, str], dict[str, str]]:
    """Settings that vary, with their values; that all runs share; and those left at defaults."""
    names = ["model", *RunConfig.model_fields, "beta", "gamma", "alpha"]
    varying, shared, defaults = {}, {}, {}
    for name in (name for name in names if name in table.columns):
        values = table[name].drop_nulls().unique().sort().to_list()
        if len(values) == 1:
            field = RunConfig.model_fields.get(name)
            at_default = field is not None and field.default == values[0]
            (defaults if at_default else shared)[name] = f"{values[0]}"
        elif values:
            varying[name] = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    return varying, shared, defaults


def _exponents(table: pl.DataFrame) -> str | None:
    learned = learned_exponents(table)
    return svg(exponent_histograms(learned)) if learned.size else None


def _cards(done: pl.DataFrame, figures: Drawn) -> list[dict[str, Any]]:
    """Runs with figures: their rows of the table, whether they are representative, their PNGs."""
    try:
        chosen = set(select(done)["run"])
    except ValueError:  # no run has the scores that the rule needs
        chosen = set()
    everyone = figures == "all" or (figures == "auto" and len(done) <= FEW)
    of = [] if figures == "none" else done["run"] if everyone else chosen
    rows = done.filter(pl.col("run").is_in(of)).to_dicts()
    by_data = sorted(rows, key=lambda row: row["data"])
    opened = RunFigures.open_each(row["path"] for row in by_data)
    drawn = {row["run"]: _drawn(row["path"], run) for row, run in zip(by_data, opened, strict=True)}
    return [{"row": row, "chosen": row["run"] in chosen, **drawn[row["run"]]} for row in rows]


def _drawn(path: str, run: RunFigures) -> dict[str, Any]:
    """The figures of a run as PNGs, and how much of the images it explains."""
    opened = Run.open(path)
    drawn = {"Latents": run.latents(8)} if run.information else {}
    drawn["Traversals"] = run.traversals(8)
    if informative(run.codes).any():
        drawn["Real images"] = run.nearest(8)
    drawn |= {"Reconstructions": run.reconstructions(), "Training": learning_curves([opened.log()])}
    figures = {name: encode(figure, "png", SCREEN_DPI) for name, figure in drawn.items()}
    weights = opened.config.objective.weights()
    return {"figures": figures, "explained": run.explained(), "weights": weights}


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _without_folders(names: list[str], text: str) -> str:
    """A text without the folders of images: a page is there to be shared."""
    for name in names:
        path = name.rpartition("[")[0] if name.endswith("]") else name
        for each in (name, path):
            text = text.replace(each, name_without_folders(each))
    return text
