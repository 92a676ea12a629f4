"""How long to train: as long as the budget allows, from the measured time of a step."""

from dataclasses import dataclass, replace
from typing import final

from isavae.fit.proposal import Proposal
from isavae.studies import Study, plan

MIN_STEPS, MAX_STEPS = 300, 20_000
# The share of the budget for reading, scoring and the report.
OVERHEAD = 0.15


@final
@dataclass(frozen=True)
class Budget:
    """The time for a fit and how it is used.

    Attributes:
        seconds: Time for everything.
        workers: Runs at a time.
        steps: Steps per run; None for as many as the budget allows, 300 to 20,000.
    """

    seconds: float
    workers: int
    steps: int | None = None


def schedule(proposal: Proposal, data: str, budget: Budget) -> Proposal:
    """The proposal with a number of steps per run.

    Args:
        proposal: What is trained.
        data: The name of the data set.
        budget: The time for everything.
    """
    study = Study.parse(replace(proposal, config=proposal.config | {"steps": 1}).study(data))
    configs = [run.config for run in study.runs]
    foreseen = plan(configs, workers=budget.workers, images=study.images)
    affordable = foreseen.steps_within((1 - OVERHEAD) * budget.seconds, most=MAX_STEPS)
    steps = budget.steps or max(MIN_STEPS, affordable)
    minutes = foreseen.with_steps(steps).seconds / 60
    step = 1000 * foreseen.runs[0].step_seconds
    at_a_time = f"{foreseen.workers} at a time, " if foreseen.workers > 1 else ""
    return proposal.with_steps(
        steps,
        f"{len(configs)} runs of {steps:,} steps: about {minutes:.1f} minutes, {at_a_time}"
        f"as a step takes {step:.1f} ms here.",
    )
