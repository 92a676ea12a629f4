"""`Fitted`: the result of `fit_folder`."""

from dataclasses import dataclass
from typing import final

from isavae.fit.axes import Axis
from isavae.fit.model_choice import Candidate
from isavae.metrics import Codes
from isavae.runs import TrainedModel


@final
@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of `fit_folder`.

    Attributes:
        model: The chosen model.
        axes: Its latents in use, the most informative first.
        codes: The codes of all images.
        names: The names of all images.
        candidates: Every finished run whose β has a second one.
        chosen: The chosen candidate.
        reasons: What was decided before training, one sentence each.
        left_out: Why an image could not be read, by name.
        unfinished: The number of runs that did not finish within the budget.
    """

    model: TrainedModel
    axes: list[Axis]
    codes: Codes
    names: tuple[str, ...]
    candidates: list[Candidate]
    chosen: Candidate
    reasons: tuple[str, ...]
    left_out: dict[str, str]
    unfinished: int

    def sentences(self) -> list[str]:
        """The results in words."""
        used = len(self.axes)
        found = [
            f"The model with β = {self.chosen.beta:g}, seed {self.chosen.seed}, was chosen without "
            f"labels: its agreement with other seeds (UDR) is {self.chosen.udr:.2f}.",
            f"It uses {used} of {self.model.vae.prior.n_latents} latents.",
        ]
        for verdict, meaning in (
            ("stable", "other seeds find the same axes"),
            ("partly stable", "other seeds find similar axes: check them before you rely on them"),
            ("not stable", "other seeds find other axes: do not interpret them one by one"),
        ):
            named = [axis.name for axis in self.axes if axis.verdict == verdict]
            if named:
                found.append(f"{verdict.capitalize()}: {', '.join(named)}; {meaning}.")
        if self.unfinished:
            found.append(
                f"{self.unfinished} runs did not finish within the budget: start again to go on."
            )
        return found
