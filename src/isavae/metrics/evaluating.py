"""`evaluate`: choose scores by name, family or function, and compute those that codes allow."""

import inspect
import math
import reprlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any

from torch.distributions import Distribution

from isavae.distributions import UnresolvedMixtureError
from isavae.metrics.all_metrics import METRICS, Metric
from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.score import Score
from isavae.metrics.score_table import ScoreRow, ScoreTable
from isavae.metrics.subspaces import Subspace

# A score's name, its family, or a function of codes (and of what else `evaluate` is given).
Wanted = str | Callable[..., Any]


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
            Functions of codes are scores too, under their own name, such as `mine` or, of
            `functools.partial(mine, bins=5)`, `mine(bins=5)`. They return a `Score` or a number,
            and may take `factors`, `prior`, `subspaces`, `others` or `seed`, which are passed where
            they are given and not bound.
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
        ValueError: If there is no such score, `repeats` is below 1, `seed` below 0, or a function
            returns neither a `Score` nor a number.

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
    if repeats < 1 or seed < 0:
        raise ValueError(
            f"`repeats` must be 1 or more and `seed` 0 or more, but are {repeats} and {seed}: "
            "leave them out for one computation with seed 0."
        )
    named = [word for word in listed_scores(metrics) if isinstance(word, str)]
    given = {
        "factors": factors,
        "prior": prior,
        "subspaces": subspaces,
        "others": others,
        "seed": seed,
    }
    rows, skipped = [], {}
    for name, metric in _chosen(metrics).items():
        try:
            rows.append(_row(name, metric, codes, given, repeats, on_progress))
        except NotApplicable as reason:
            if name in named:
                raise
            skipped[name] = str(reason)
        except UnresolvedMixtureError as reason:  # a limit that shows only in the computation
            skipped[name] = str(reason)
    return ScoreTable(tuple(rows), skipped)


def scored_names(metrics: Wanted | Sequence[Wanted]) -> list[str]:
    """The scores that `evaluate` computes: those of `METRICS` in its order, then functions.

    Raises:
        ValueError: If there is no such score.

    Examples:
        >>> scored_names(["mig", "elbo"])
        ['mig', 'elbo_decomposition']
    """
    return [*_chosen(metrics)]


def listed_scores(metrics: Wanted | Sequence[Wanted]) -> list[Wanted]:
    """A list of scores: what was given, or the one score that was given instead of a list."""
    return [metrics] if isinstance(metrics, str) or callable(metrics) else [*metrics]


def _chosen(metrics: Wanted | Sequence[Wanted]) -> dict[str, Metric]:
    """Scores by name, and functions by theirs."""
    wanted = listed_scores(metrics)
    words = {word for word in wanted if isinstance(word, str)}
    families = {metric.family for metric in METRICS.values()}
    known = {*METRICS, *families, "all"}
    if unknown := sorted(words - known):
        near = get_close_matches(unknown[0], known) or sorted(METRICS)
        raise ValueError(
            f"A score must be one of METRICS, a family of {sorted(families)} or 'all', "
            f"but is {unknown[0]!r}: did you mean {' or '.join(near)}?"
        )
    chosen = {n: m for n, m in METRICS.items() if {n, m.family, "all"} & words}
    for function in wanted:
        if isinstance(function, str):
            continue
        name = _name(function)
        if name in METRICS or name in chosen:
            raise ValueError(
                f"A function that scores must have a name of its own, but {name!r} is taken: "
                "rename it."
            )
        source = f"{getattr(function, '__module__', '')}.{name}"
        chosen[name] = Metric(function, "own", "", "neither", (), source, "")
    return chosen


def _name(function: Callable[..., Any]) -> str:
    """A function's own name, that of a partial one with what it binds, or that of its class.

    Raises:
        TypeError: If it is no function.
    """
    if not callable(function):
        raise TypeError(
            f"A score must be a name, a family or a function of codes, but is {function!r}: "
            "METRICS lists the names."
        )
    if hasattr(function, "__name__") or not isinstance(function, partial):
        return getattr(function, "__name__", type(function).__name__)
    bound = [*map(reprlib.repr, function.args)]
    bound += [f"{name}={reprlib.repr(value)}" for name, value in function.keywords.items()]
    return f"{_name(function.func)}({', '.join(bound)})"


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
    if not math.isfinite(result.value) and "note" not in result.parameters:
        note = f"the score of these codes is {result.value}, no finite number"
        result = replace(result, parameters={**result.parameters, "note": note})
    return ScoreRow(name, metric, result, time.perf_counter() - start)


def _missing(metric: Metric, codes: Codes, given: Mapping[str, Any]) -> str | None:
    """The first input that a score needs and is not given."""
    absent = {
        "log_std": "posterior standard deviations: give `Codes` a log_std"
        if codes.log_std is None
        else None,
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
        return _as_score(metric.function(codes, **parameters), metric)
    seeds = range(given["seed"], given["seed"] + repeats)
    runs = [metric.function(codes, **(parameters | {"seed": seed})) for seed in seeds]
    return _mean([_as_score(run, metric) for run in runs])


def _as_score(result: Any, metric: Metric) -> Score:
    """A score, or a number of any kind as one."""
    if isinstance(result, Score):
        return result
    try:
        return Score(float(result))
    except (TypeError, ValueError) as problem:
        raise ValueError(
            f"A function that scores must return a Score or one number, but {metric.source} "
            f"returned {result!r}: take its mean, or an entry."
        ) from problem


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
