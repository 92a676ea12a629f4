"""TensorBoard event files beside a run's `log.jsonl`, on request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from isavae.runs import Run


@contextmanager
def tensorboard_writer(run: Run) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Yield a function that writes a step's values as event files into the run's directory.

    Steps that a resumed run repeats replace those written before.

    Args:
        run: The run, before it is resumed.

    Raises:
        ModuleNotFoundError: Without the package tensorboard (the extra `track`).
    """
    from torch.utils.tensorboard import SummaryWriter

    step = run.metadata()["step"] if run.state_path.exists() else None
    with SummaryWriter(str(run.path), purge_step=None if step is None else step + 1) as writer:

        def write(step: int, values: dict[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        yield write
