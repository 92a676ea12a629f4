"""`Fitted`: the result of `fit`."""

from dataclasses import dataclass
from typing import Any, final

from isavae.explained import Explained
from isavae.fitting.axes import Axis, Verdict
from isavae.fitting.model_choice import Candidate
from isavae.metrics import Codes
from isavae.runs import TrainedModel


@final
@dataclass(frozen=True, eq=False, repr=False)
class Fitted:
    """The result of `fit`.

    Attributes:
        model: The chosen model.
        axes: Its latents in use, the most informative first.
        codes: The codes of all images.
        names: The names of all images.
        candidates: Every finished run whose β has a second one.
        chosen: The chosen candidate.
        explained: The share of the variance between images that the model explains, beside PCA's.
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
    explained: Explained
    reasons: tuple[str, ...]
    left_out: dict[str, str]
    unfinished: int

    def verdict(self, axis: Axis) -> Verdict:
        """That of the axis, if the model explains as much as PCA and uses more than one latent."""
        return axis.verdict if self.is_telling else "not stable"

    def name(self, axis: Axis) -> str:
        """That of the axis' latent: the one that the user gave it, or else "z5"."""
        return self.model.names[axis.latent]

    def shared_axes(self) -> list[dict[str, Any]]:
        """The axes as the model's file keeps them, for the explorer."""
        return [
            {
                "latent": axis.latent,
                "verdict": self.verdict(axis),
                "found_by": axis.found_by,
                "seeds": axis.seeds,
            }
            for axis in self.axes
        ]

    @property
    def is_telling(self) -> bool:
        """Whether axes of this model are worth more than principal components.

        The latent of a model that uses one agrees with its counterparts by itself.
        """
        return self.explained.is_enough and len(self.axes) > 1

    def __repr__(self) -> str:
        """The results in words, as `isavae fit` prints them."""
        return "\n".join(self.sentences())

    def sentences(self) -> list[str]:
        """The results in words."""
        used = len(self.axes)
        weights = self.model.config.objective.weights()
        found = [
            f"The model with β = {self.chosen.beta:g} ({weights}), seed {self.chosen.seed}, was "
            "chosen without labels: seeds of this β share the most axes, and this seed shares the "
            "most of them.",
            f"It uses {used} of {self.model.vae.prior.n_latents} latents, which explain "
            f"{self.explained.model:.0%} of the variance between images; as many principal "
            f"components (PCA) explain {self.explained.linear:.0%}.",
            *self._verdicts(),
        ]
        if self.unfinished:
            found.append(
                f"{self.unfinished} runs did not finish within the budget: give the same command "
                "again to resume."
            )
        return found

    def _verdicts(self) -> list[str]:
        if not self.is_telling:
            why = (
                "a linear model explains more than this one"
                if not self.explained.is_enough
                else "a single latent is in use, which seeds agree on by themselves"
            )
            return [
                f"Nothing stable was found: {why}. Fit again into another folder (--out) with more "
                "time (--budget), more images, or a smaller --beta."
            ]
        found = []
        for verdict, meaning in (
            ("stable", "other seeds find the same axes"),
            ("partly stable", "other seeds find similar axes: check them before you rely on them"),
            ("not stable", "other seeds find other axes: do not interpret them one by one"),
        ):
            named = [
                f"{self.name(axis)} ({axis.found_by} of {axis.seeds})"
                for axis in self.axes
                if axis.verdict == verdict
            ]
            if named:
                found.append(f"{verdict.capitalize()}: {', '.join(named)}; {meaning}.")
        return found
