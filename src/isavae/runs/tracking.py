"""TensorBoard event files beside a run's `log.jsonl`, on request."""

from collections.abc import Iterator
from contextlib import contextmanager

from isavae.runs.directory import Run
from isavae.runs.execution import OnStep


def check_tracking() -> None:
    """Raise a ModuleNotFoundError without the package tensorboard (the extra `track`)."""
    import torch.utils.tensorboard  # noqa: F401


@contextmanager
def tracked(run: Run, on_step: OnStep | None) -> Iterator[OnStep]:
    """Yield `on_step`, which also writes a step's values as event files into the run's directory.

    Steps that a resumed run repeats replace those written before.

    Args:
        run: The run, before it is resumed.
        on_step: Called with (step, steps, values) after they are written.

    Raises:
        ModuleNotFoundError: Without the package tensorboard (the extra `track`).
    """
    from torch.utils.tensorboard import SummaryWriter

    step = run.metadata()["step"] if run.state_path.exists() else None
    with SummaryWriter(str(run.path), purge_step=None if step is None else step + 1) as writer:

        def both(step: int, steps: int, values: dict[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
            writer.flush()
            if on_step:
                on_step(step, steps, values)

        yield both
