"""`isavae study plan`."""

from collections import Counter

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from isavae.cli.step_progress import StepProgress
from isavae.cli.study_progress import duration
from isavae.studies import Study, StudyEstimate, plan
from isavae.studies.engines.local import share_cores
from isavae.studies.estimate import GPU_FLOP_PER_SECOND, GPU_STEP_SECONDS, labels


def show_plan(
    file: Positional[str],
    data: str | None = None,
    workers: int | None = None,
    gpus: int | None = None,
    tflops: float = GPU_FLOP_PER_SECOND / 1e12,
    seconds: float = 1.0,
) -> None:
    """Say how long a study will take and how much disk, by taking a few steps of every kind of run.

    The steps are taken by as many processes at once as there will be workers, so whatever else this
    machine does now counts too.

    Args:
        file: a study file, or the name of one that comes with the package, such as small.
        data: plan it on another data set.
        workers: runs at a time; by default as many as the cores allow.
        gpus: estimate the time on so many GPUs too, a run at a time on each.
        tflops: what a GPU is taken to do in a second, in 1e12 floating-point operations.
        seconds: for which steps of every kind are taken, three at least.
    """
    study = Study.from_file(file)
    study = study.on_data(data) if data else study
    study.require_devices()
    study.require_data()
    workers, threads = share_cores(workers, study.resources.cpus)
    with StepProgress("timing", "kinds") as progress:
        foreseen = plan(
            [run.config for run in study.runs_in_turn()],
            workers=workers,
            threads=threads,
            images=study.images,
            seconds=seconds,
            on_kind=progress,
        )
    each = "1 thread" if threads == 1 else f"{threads} threads"
    print(f"{study.name}: {len(study.runs):,} runs, {foreseen.workers} at a time, {each} each")
    print()
    _show(foreseen)
    print(f"\nhere: {duration(foreseen.seconds)}, {_rate(foreseen):,.3g} runs an hour")
    print(
        f"disk: {size(foreseen.bytes)} when done, "
        f"and up to {size(foreseen.checkpoint_bytes)} of checkpoints meanwhile"
    )
    if gpus:
        estimate = foreseen.gpu_seconds(gpus, tflops * 1e12)
        print(f"{gpus} GPU{'s' if gpus > 1 else ''}: about {duration(estimate)}; not measured:")
        floor = f"at least {1e3 * GPU_STEP_SECONDS:g} ms a step"
        print(f"  operations over {tflops:g} TFLOP/s, and {floor}")


def size(count: float) -> str:
    """So many bytes as people say it.

    >>> size(950.0), size(5.24e7), size(1.31e11)
    ('950 B', '52 MB', '131 GB')
    """
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {units[power]}" if count < 9.95 else f"{count:.0f} {units[power]}"


def _rate(foreseen: StudyEstimate) -> float:
    return 3600 * len(foreseen.runs) / foreseen.seconds


def _show(foreseen: StudyEstimate) -> None:
    """A row for every kind and length of run; GFLOP are those of a step."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("runs", "steps", "a step", "start", "scores", "a run", "GFLOP"):
        table.add_column(head, justify="right")
    names = labels([run.config for run in foreseen.runs])
    rows = {(name, run.steps): run for name, run in zip(names, foreseen.runs, strict=True)}
    counts = Counter((n, run.steps) for n, run in zip(names, foreseen.runs, strict=True))
    for (name, steps), run in rows.items():
        cost = run.cost
        table.add_row(
            name,
            f"{counts[name, steps]:,}",
            f"{steps:,}",
            short(cost.step_seconds),
            short(cost.start_seconds),
            short(cost.scoring_seconds),
            short(run.seconds),
            f"{cost.step_flop / 1e9:.3g}",
        )
    console = Console()
    if not console.is_terminal:
        console.width = 80
    console.print(table, highlight=False)


def short(seconds: float) -> str:
    """A time span, milliseconds included.

    >>> short(0.0123), short(2.34), short(7200.0)
    ('12 ms', '2.3 s', '2.0 h')
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
