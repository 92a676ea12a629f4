"""How long to train: as long as the budget allows, by what a step was measured to take here."""

from dataclasses import dataclass, replace
from typing import final

from isavae.fit.proposal import Proposal
from isavae.studies import Study, plan

FEWEST_STEPS, MOST_STEPS = 300, 20_000
OVERHEAD = 0.15  # of the budget: reading, scoring, the report


@final
@dataclass(frozen=True)
class Budget:
    """How long everything may take.

    Attributes:
        budget: seconds for everything.
        workers: runs at a time.
        steps: of each run; None for as many as the budget allows, 300 to 20,000.
    """

    budget: float
    workers: int
    steps: int | None = None


def schedule(proposal: Proposal, data: str, length: Budget) -> Proposal:
    """The proposal for the data set of that name with the length of its runs."""
    study = Study.parse(replace(proposal, settings=proposal.settings | {"steps": 1}).study(data))
    configs = [run.config for run in study.runs]
    foreseen = plan(configs, workers=length.workers, images=study.images)
    affordable = foreseen.steps_within((1 - OVERHEAD) * length.budget, most=MOST_STEPS)
    steps = length.steps or max(FEWEST_STEPS, affordable)
    minutes = foreseen.with_steps(steps).seconds / 60
    step = 1000 * foreseen.runs[0].cost.step_seconds
    at_a_time = f"{foreseen.workers} at a time, " if foreseen.workers > 1 else ""
    return proposal.with_steps(
        steps,
        f"{len(configs)} runs of {steps:,} steps: about {minutes:.1f} minutes, {at_a_time}"
        f"as a step takes {step:.1f} ms here.",
    )
