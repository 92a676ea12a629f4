"""`isavae study plan`."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from isavae.cli.step_progress import StepProgress
from isavae.cli.study_progress import duration
from isavae.runs import RunConfig
from isavae.studies import (
    GPU_FLOP_PER_SECOND,
    GPU_STEP_SECONDS,
    Study,
    StudyEstimate,
    kind_of,
    model_name,
    plan,
    share_cores,
)

# Settings that the name of the model tells.
NAMED = {"objective", "prior", "prior_scale", "learn_exponents"}


def show_plan(
    file: Positional[str],
    data: str | None = None,
    workers: int | None = None,
    gpus: int | None = None,
    tflops: float = GPU_FLOP_PER_SECOND / 1e12,
    seconds: float = 1.0,
) -> None:
    """Estimate time and disk space of a study by taking a few steps of every kind of run.

    As many processes take the steps at once as there will be workers. Other load on this machine
    makes the estimate longer.

    Args:
        file: A study file, or the name of one that ships with the package, such as small.
        data: Plan the study on another data set.
        workers: Runs at a time; by default as many as the cores allow.
        gpus: Also estimate the training time on this many GPUs, one run at a time on each.
        tflops: Assumed speed of a GPU, in 1e12 floating-point operations per second.
        seconds: Time spent on the steps of every kind; at least three steps are taken.
    """
    study = Study.from_file(file)
    study = study.on_data(data) if data else study
    study.check_devices()
    study.check_data()
    workers, threads = share_cores(workers, study.resources.cpus)
    configs = [run.config for run in study.runs_by_seed()]
    with StepProgress("timing", "kinds") as progress:
        estimate = plan(
            configs,
            workers=workers,
            threads=threads,
            images=study.images,
            seconds=seconds,
            on_kind=progress,
        )
    each = "1 thread" if threads == 1 else f"{threads} threads"
    print(f"{study.name}: {len(study.runs):,} runs, {estimate.workers} at a time, {each} each")
    print()
    _show(estimate)
    rate = 3600 * len(estimate.runs) / estimate.seconds
    print(f"\nhere: {duration(estimate.seconds)}, {rate:,.3g} runs an hour")
    print(
        f"disk: {size(estimate.bytes)} when done, "
        f"and up to {size(estimate.checkpoint_bytes)} for checkpoints while running"
    )
    if gpus:
        time = duration(estimate.gpu_seconds(gpus, tflops * 1e12))
        print(f"{gpus} GPU{'s' if gpus > 1 else ''}: about {time} of training; not measured:")
        print(
            f"  operations over {tflops:g} TFLOP/s, and at least {short(GPU_STEP_SECONDS)} a step"
        )


def _show(estimate: StudyEstimate) -> None:
    """Print a row for every kind and length of run; GFLOP are those of a step."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("runs", "steps", "a step", "start", "scores", "a run", "GFLOP"):
        table.add_column(head, justify="right")
    keys = [(kind_of(run.config), run.steps) for run in estimate.runs]
    counts = Counter(keys)
    examples = dict(zip(reversed(keys), reversed(estimate.runs), strict=True))
    names = labels([examples[key].config for key in counts])
    for name, (key, count) in zip(names, counts.items(), strict=True):
        run = examples[key]
        table.add_row(
            name,
            f"{count:,}",
            f"{run.steps:,}",
            short(run.cost.step_seconds),
            short(run.cost.start_seconds),
            short(run.cost.scoring_seconds),
            short(run.seconds),
            f"{run.cost.step_flop / 1e9:.3g}",
        )
    console = Console()
    if not console.is_terminal:
        console.width = 80
    console.print(table, highlight=False)


def labels(examples: Sequence[RunConfig]) -> list[str]:
    """A short name for the kind of each run: its model, and the settings in which kinds differ.

    >>> labels([RunConfig(prior="6*20"), RunConfig(width=9, prior="normal")])
    ['beta-vae, prior as 6*20', 'beta-vae width=9']
    """
    kinds = [kind_of(config) for config in examples]
    differing = [
        name
        for name in RunConfig.model_fields
        if name not in NAMED and len({getattr(kind, name) for kind in kinds}) > 1
    ]
    names = []
    for config, kind in zip(examples, kinds, strict=True):
        model = model_name(config.settings()).replace("own prior", f"prior as {config.prior}")
        values = {name: getattr(kind, name) for name in differing}
        given = [f"{name}={value}" for name, value in values.items() if value is not None]
        names.append(" ".join([model, *given]))
    return names


def size(count: float) -> str:
    """Format a number of bytes.

    >>> size(950.0), size(5.24e7), size(1.31e11)
    ('950 B', '52 MB', '131 GB')
    """
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {units[power]}" if count < 9.95 else f"{count:.0f} {units[power]}"


def short(seconds: float) -> str:
    """Format a time span, down to milliseconds.

    >>> short(0.0123), short(2.34), short(7200.0)
    ('12 ms', '2.3 s', '2.0 h')
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
