"""TensorBoard event files beside a run's `log.jsonl`, on request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from isavae.runs import Run


@contextmanager
def tensorboard_writer(run: Run) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A function that writes a step's values as event files into the run's directory.

    What a resumed run does again after its last checkpoint replaces what was written before.

    Args:
        run: the run, before it goes on.

    Raises:
        ModuleNotFoundError: without the package tensorboard (the extra `track`).
    """
    from torch.utils.tensorboard import SummaryWriter

    step = run.metadata()["step"] if run.state_path.exists() else None
    with SummaryWriter(str(run.path), purge_step=None if step is None else step + 1) as writer:

        def write(step: int, values: dict[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        yield write
