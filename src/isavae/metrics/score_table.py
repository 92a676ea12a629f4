"""`evaluate`: a table of scores of the same codes."""

import html
import inspect
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, final

from torch.distributions import Distribution

from isavae.distributions import UnresolvedMixtureError
from isavae.metrics.all_metrics import METRICS, Metric
from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.score import Score
from isavae.metrics.subspaces import Subspace

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

# A score's name, its family, or a function of codes (and of what else `evaluate` is given).
Wanted = str | Callable[..., Any]


@final
@dataclass(frozen=True)
class ScoreRow:
    """One score of a table, what it means, and how long it took in seconds."""

    name: str
    metric: Metric
    score: Score
    seconds: float


@final
@dataclass(frozen=True)
class ScoreTable:
    """Scores of the same codes, and why any others were left out.

    Args:
        rows: The scores, in the order of `METRICS`; functions of one's own follow.
        skipped: The reason for each score that the codes do not allow.
    """

    rows: tuple[ScoreRow, ...]
    skipped: Mapping[str, str]

    def __getitem__(self, name: str) -> Score:
        """The score of a name in `METRICS`."""
        if name in self.skipped:
            raise KeyError(f"{name} was left out: {self.skipped[name]}")
        return {row.name: row.score for row in self.rows}[name]

    def __iter__(self) -> Iterator[ScoreRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        width = max((len(row.name) for row in self.rows), default=0)
        return "\n".join(f"{row.name:<{width}}  {_number(row.score)}" for row in self.rows)

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        cells = [
            (row.name, _number(row.score), row.metric.range, row.metric.better, row.metric.caveat)
            for row in self.rows
        ]
        lines = [
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in cells
        ]
        head = "".join(
            f"<th>{name}</th>" for name in ("score", "value", "range", "better", "caveat")
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"

    def to_pandas(self) -> "pd.DataFrame":
        """One row per score: value, standard error, definition; needs pandas."""
        import pandas as pd

        return pd.DataFrame(self._records(), columns=list(_COLUMNS))

    def to_polars(self) -> "pl.DataFrame":
        """One row per score: value, standard error, definition; needs polars."""
        import polars as pl

        return pl.DataFrame(self._records(), schema=_COLUMNS, orient="row")

    def _records(self) -> list[tuple[str | float | None, ...]]:
        return [
            (
                row.name, row.score.value, row.score.standard_error, row.metric.family,
                row.metric.range, row.metric.better, row.metric.source, row.seconds,
            )
            for row in self.rows
        ]  # fmt: skip

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain numbers, texts and lists, by score: what `scores.json` holds."""
        return {
            row.name: _plain(row.score)
            | {"range": row.metric.range, "better": row.metric.better, "source": row.metric.source}
            for row in self.rows
        }


_COLUMNS = {
    "score": str,
    "value": float,
    "standard_error": float,
    "family": str,
    "range": str,
    "better": str,
    "source": str,
    "seconds": float,
}


def evaluate(
    codes: Codes,
    metrics: Wanted | Sequence[Wanted] = "all",
    factors: Sequence[str] | None = None,
    prior: Distribution | None = None,
    subspaces: Sequence[Subspace] | None = None,
    others: Sequence[Codes] | None = None,
    seed: int = 0,
    repeats: int = 1,
    on_progress: Callable[[str], None] | None = None,
) -> ScoreTable:
    """Compute scores of the same codes, each with its exact definition.

    Args:
        codes: Codes to score.
        metrics: Names in `METRICS`, families (`information`, `elbo`, `supervised`, `unsupervised`)
            or `all`. Scores that the codes do not allow are skipped, with the reason, unless named.
            A score that turns out to be beyond the computation's limits is always skipped so.
            Functions of codes are scores too, under their own name; they return a `Score` or a
            number, and may take `factors`, `prior`, `subspaces`, `others` or `seed`, which are
            passed where they are given and not bound by `functools.partial`.
        factors: Names; by default the grid's scored factors.
        prior: p(z), for the decomposition of the ELBO.
        subspaces: Latents of each subspace, for scores of subspaces.
        others: Codes of the same images by other runs, for scores that compare runs.
        seed: Seed of all random numbers.
        repeats: How often to repeat scores that are random, with seeds from `seed` on; they are
            then means, with the standard error over the repeats.
        on_progress: Called with a score's name before it is computed.

    Raises:
        NotApplicable: If the codes do not allow a score that was named.
        ValueError: If there is no such score.

    Examples:
        >>> import torch
        >>> from isavae.data import FactorGrid
        >>> grid = FactorGrid(("x", "y"), (8, 8))
        >>> codes = Codes(torch.tensor(grid.labels_array()).float(), None, grid)
        >>> print(evaluate(codes, ["binned_mig", "irs", "active_units"]))
        binned_mig    1.0000
        irs           1.0000
        active_units  2.0000
        >>> def largest(codes):
        ...     return codes.mean.max()
        >>> print(evaluate(codes, ["irs", largest]))
        irs      1.0000
        largest  7.0000
    """
    wanted = (
        list(metrics)
        if isinstance(metrics, Sequence) and not isinstance(metrics, str)
        else [metrics]
    )
    named = [word for word in wanted if isinstance(word, str)]
    chosen = {name: METRICS[name] for name in scored_names(named)} | _own(wanted)
    given = {
        "factors": factors,
        "prior": prior,
        "subspaces": subspaces,
        "others": others,
        "seed": seed,
    }
    rows, skipped = [], {}
    for name, metric in chosen.items():
        try:
            rows.append(_row(name, metric, codes, given, repeats, on_progress))
        except NotApplicable as reason:
            if name in named:
                raise
            skipped[name] = str(reason)
        except UnresolvedMixtureError as reason:  # a limit that shows only in the computation
            skipped[name] = str(reason)
    return ScoreTable(tuple(rows), skipped)


def scored_names(metrics: str | Sequence[str]) -> list[str]:
    """The names that names, families and `all` stand for, in the order of `METRICS`.

    Raises:
        ValueError: If there is no such score.

    Examples:
        >>> scored_names(["mig", "elbo"])
        ['mig', 'elbo_decomposition']
    """
    words = [metrics] if isinstance(metrics, str) else list(metrics)
    families = {metric.family for metric in METRICS.values()}
    known = {*METRICS, *families, "all"}
    if unknown := [word for word in words if word not in known]:
        near = get_close_matches(unknown[0], known) or sorted(METRICS)
        raise ValueError(
            f"A score must be one of METRICS, a family of {sorted(families)} or 'all', "
            f"but is {unknown[0]!r}: did you mean {' or '.join(near)}?"
        )
    return [n for n, m in METRICS.items() if {n, m.family, "all"} & set(words)]


def _own(wanted: Sequence[Wanted]) -> dict[str, Metric]:
    """Functions among scores, by name."""
    own = {}
    for function in wanted:
        if isinstance(function, str):
            continue
        name = getattr(function, "__name__", repr(function))
        if name in METRICS or name in own:
            raise ValueError(
                f"A function that scores must have a name of its own, but {name!r} is taken: "
                "rename it."
            )
        source = f"{getattr(function, '__module__', '')}.{name}"
        own[name] = Metric(function, "own", "", "neither", (), source, "")
    return own


def _row(
    name: str,
    metric: Metric,
    codes: Codes,
    given: Mapping[str, Any],
    repeats: int,
    on_progress: Callable[[str], None] | None,
) -> ScoreRow:
    if missing := _missing(metric, codes, given):
        raise NotApplicable(f"{name} needs {missing}.")
    if on_progress:
        on_progress(name)
    start = time.perf_counter()
    result = _computed(metric, codes, given, repeats)
    scored = result.parameters.get("factors", ())
    if isinstance(scored, tuple) and (binned := codes.binned(scored)):
        result = replace(result, parameters={**result.parameters, "binned": binned})
    return ScoreRow(name, metric, result, time.perf_counter() - start)


def _missing(metric: Metric, codes: Codes, given: Mapping[str, Any]) -> str | None:
    """The first input that a score needs and is not given."""
    absent = {
        "log_std": "posterior standard deviations" if codes.log_std is None else None,
        "factors": None
        if codes.has_factors(given["factors"])
        else "labels of a factor that varies",
        "two factors": None if codes.has_factors(given["factors"], 2) else "two factors that vary",
        "prior": "a prior" if given["prior"] is None else None,
        "subspaces": "subspaces" if given["subspaces"] is None else None,
        "others": "codes of other runs" if not given["others"] else None,
    }
    return next((absent[need] for need in metric.needs if absent[need]), None)


def _computed(metric: Metric, codes: Codes, given: Mapping[str, Any], repeats: int) -> Score:
    bound = getattr(metric.function, "keywords", {})  # of a functools.partial
    accepted = inspect.signature(metric.function).parameters.keys() - bound.keys()
    parameters = {n: value for n, value in given.items() if n in accepted and value is not None}
    if "seed" not in accepted or repeats == 1:
        return _as_score(metric.function(codes, **parameters))
    seeds = range(given["seed"], given["seed"] + repeats)
    runs = [metric.function(codes, **(parameters | {"seed": seed})) for seed in seeds]
    return _mean([_as_score(run) for run in runs])


def _as_score(result: Any) -> Score:
    """A score, or a number of any kind as one."""
    return result if isinstance(result, Score) else Score(float(result))


def _mean(runs: list[Score]) -> Score:
    """Means over repeats with different seeds, and standard errors from their spread."""

    def mean(values: list[float]) -> tuple[float, float]:
        return statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5

    value, error = mean([run.value for run in runs])
    terms = {name: mean([run.terms[name] for run in runs]) for name in runs[0].terms}
    factors = {name: mean([run.per_factor[name] for run in runs]) for name in runs[0].per_factor}
    return replace(
        runs[0],
        value=value,
        standard_error=error,
        per_factor={name: found for name, (found, _) in factors.items()},
        terms={name: found for name, (found, _) in terms.items()},
        term_errors={name: spread for name, (_, spread) in terms.items()},
        parameters={**runs[0].parameters, "repeats": len(runs)},
    )


def _number(score: Score) -> str:
    error = "" if score.standard_error is None else f" ± {score.standard_error:.4f}"
    return f"{score.value:.4f}{error}"


def _plain(score: Score) -> dict[str, Any]:
    """The fields of a score that are not empty."""
    parts = {
        "value": score.value,
        "standard_error": score.standard_error,
        "per_factor": dict(score.per_factor),
        "terms": dict(score.terms),
        "term_errors": dict(score.term_errors),
        "parameters": dict(score.parameters),
    }
    return {name: value for name, value in parts.items() if value not in (None, {})}
