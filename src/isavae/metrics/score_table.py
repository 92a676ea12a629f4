"""`ScoreTable`: scores of the same codes, as text, HTML, data frames and plain values."""

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from isavae.metrics.all_metrics import Metric
from isavae.metrics.score import Score

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@final
@dataclass(frozen=True)
class ScoreRow:
    """One score of a table.

    Attributes:
        name: The name of the score, or of the function that was given.
        metric: What the score means: range, direction, source and caveat.
        score: Its value, with terms and parameters.
        seconds: How long it took.
    """

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
        lines = [f"{row.name:<{width}}  {_number(row.score)}" for row in self.rows]
        return "\n".join([*lines, *self._reasons()])

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
        below = "<br>".join(map(html.escape, self._reasons()))
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
            f"<p>{below}</p>"
        )

    def _reasons(self) -> list[str]:
        return [f"skipped: {reason}" for reason in self.skipped.values()]

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


def _number(score: Score) -> str:
    error = "" if score.standard_error is None else f" ± {score.standard_error:.4f}"
    note = f" ({score.parameters['note']})" if "note" in score.parameters else ""
    return f"{score.value:.4f}{error}{note}"


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
