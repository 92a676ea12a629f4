"""Scores of codes as metrics of torchmetrics, updated batch by batch. Needs `torchmetrics`."""

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from isavae.metrics.all_metrics import METRICS
from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.evaluating import evaluate

Means = Float[Tensor, "n latents"]


@final
class CodesMetric(Metric):
    """One score of all codes that it is updated with, in any number of batches and processes.

    `compute` returns the number that `isavae.metrics.evaluate` gives for the codes together. Called
    as a function it also returns the score of the batch alone, which most scores do not allow for
    batches that show one class of a factor: `update` asks less.

    Args:
        score: A name in `METRICS` that needs no more than codes and labels, such as `mig`,
            `modularity`, `med` or `irs`; or a function of `Codes`, such as
            `partial(subspace_mig, subspaces=[[0, 1], [2]])`.
        factors: Names of the columns of labels; by default `factor_0`, `factor_1`, ...
        unknown: A label that means unknown, besides NaN.
        bins: In how many quantile bins continuous factors are scored, as in `Codes`.
        **kwargs: Arguments of `torchmetrics.Metric`, such as `compute_on_cpu`.

    Raises:
        ValueError: If there is no such score.

    Examples:
        >>> irs = CodesMetric("irs")
        >>> labels = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        >>> for batch in labels.split(6):
        ...     irs.update(batch.float(), batch)
        >>> irs.compute()
        tensor(1.)
    """

    is_differentiable = False
    full_state_update = False
    means: list[Tensor]
    log_stds: list[Tensor]
    labels: list[Tensor]

    def __init__(
        self,
        score: str | Callable[..., Any] = "mig",
        factors: Sequence[str] | None = None,
        unknown: int | float | None = None,
        bins: int = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(score, str) and score not in METRICS:
            raise ValueError(
                f"A score must be a name in isavae.metrics.METRICS, not {score!r}: take one of "
                f"{', '.join(METRICS)}, or pass a function of Codes."
            )
        self.score, self.factors, self.unknown, self.bins = score, factors, unknown, bins
        for state in ("means", "log_stds", "labels"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    @property
    def higher_is_better(self) -> bool | None:  # pyrefly: ignore[bad-override]
        """Whether higher scores are better; None if neither is, or if that is not known."""
        better = METRICS[self.score].better if isinstance(self.score, str) else "neither"
        return {"higher": True, "lower": False, "neither": None}[better]

    def update(
        self,
        codes: Means | tuple[Means, Means],
        labels: Shaped[Tensor, "rows *factors"] | None = None,
    ) -> None:
        """Add a batch of codes.

        Args:
            codes: Codes, or a pair of posterior means and log-stds, as scores such as `mig` need.
            labels: The label of every code, one column per factor; None for scores without labels.

        Raises:
            ValueError: If there is not one row of labels for every code.
        """
        mean, log_std = codes if isinstance(codes, tuple) else (codes, None)
        if labels is not None and len(labels) != len(mean):
            raise ValueError(
                f"Labels need one row for every code, but are {len(labels)} for {len(mean)} codes: "
                "pass those of the same batch."
            )
        self.means.append(mean.detach())
        if log_std is not None:
            self.log_stds.append(log_std.detach())
        if labels is not None:
            columns = labels.detach()
            self.labels.append(columns[:, None] if columns.ndim == 1 else columns.flatten(1))

    def compute(self) -> Float[Tensor, ""]:
        """The score of all codes.

        Raises:
            NotApplicable: If the codes do not allow the score.
        """
        if not len(self.means):
            raise NotApplicable("A score needs codes, but there are none yet: call `update` first.")
        codes = Codes(
            dim_zero_cat(self.means),
            dim_zero_cat(self.log_stds) if len(self.log_stds) else None,
            self._named_labels(),
            unknown=self.unknown,
            bins=self.bins,
        )
        table = evaluate(codes, self.score)
        [name] = [*table.skipped] or [row.name for row in table]
        return torch.tensor(table[name].value, device=self.device)

    def _named_labels(self) -> dict[str, Tensor] | Tensor | None:
        if not len(self.labels):
            return None
        labels = dim_zero_cat(self.labels).cpu()
        if self.factors is None:
            return labels
        if len(self.factors) != labels.shape[1]:
            raise ValueError(
                f"Labels need one column for each of the factors {tuple(self.factors)}, but have "
                f"{labels.shape[1]}: name every column."
            )
        return dict(zip(self.factors, labels.T, strict=True))
