"""`Score`: a number with everything needed to reproduce it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from isavae.metrics.mutual_information import Information


@final
@dataclass(frozen=True, eq=False)
class Score:
    """A score, its parts, and its exact definition.

    Args:
        value: The number to compare.
        per_factor: The contribution of each factor, such as the gaps of a MIG, where there is one.
        terms: Further named numbers, such as completeness beside disentanglement.
        standard_error: Standard error of `value` if it is estimated from samples; None if it is
            exact or no valid standard error is known.
        term_errors: Standard errors of `terms`.
        parameters: Factors, bins, sample sizes, seed, predictor: what the number depends on; "note"
            says why a value is not finite.
        information: The mutual-information matrix behind the score, where there is one.
    """

    value: float
    per_factor: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, float] = field(default_factory=dict)
    standard_error: float | None = None
    term_errors: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    information: Information | None = None

    @property
    def score(self) -> float:
        """The same number as `value`, for code that reads `.score`."""
        return self.value
