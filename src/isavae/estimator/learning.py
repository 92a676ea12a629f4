"""Training on an estimator's rows."""

import numpy as np
import torch

from isavae.estimator.rows import Rows
from isavae.models import Objective
from isavae.training import TrainState, train


def learn(
    state: TrainState,
    rows: Rows,
    objective: Objective,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    verbose: bool,
) -> list[float]:
    """Train until a step; returns the losses of the new steps.

    Args:
        state: What is trained.
        rows: The samples.
        objective: What is minimised.
        steps: The step to train until, counted from the start of training.
        batch_size: Samples per step; at most all of them are taken.
        seed: Of the order of samples and of the noise.
        verbose: Print the loss a hundred times.

    Raises:
        ArithmeticError: If the loss becomes NaN or infinite.
    """
    start = state.step
    report_every = max(1, (steps - start) // 100)
    size = min(batch_size, len(rows))
    losses = []
    for report in train(state, rows, objective, steps=steps, batch_size=size, seed=seed):
        losses.append(report.values["loss"])
        if verbose and report.step % report_every == 0:
            shown = ", ".join(f"{name} {v:.4g}" for name, v in report.to_floats().items())
            print(f"step {report.step}/{steps}: {shown}")
    curve = torch.stack(losses).tolist()
    if not np.isfinite(curve).all():
        raise ArithmeticError(
            f"the loss must be finite; it is not from step "
            f"{start + int(np.argmin(np.isfinite(curve))) + 1} on: standardise the features or "
            "lower learning_rate"
        )
    return curve
