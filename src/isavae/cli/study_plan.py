"""`isavae study plan`."""

from tyro.conf import Positional

from isavae.cli.flag_kinds import Optionally
from isavae.cli.step_progress import StepProgress
from isavae.cli.study_progress import duration
from isavae.cli.terminal import say
from isavae.errors import counted
from isavae.studies import Study, plan, usual_workers


def show_plan(
    file: Positional[str],
    data: Optionally[str] = None,
    workers: Optionally[int] = None,
    seconds: float = 1.0,
) -> None:
    """Estimate time and disk space of a study by taking a few steps of every kind of run.

    As many processes take the steps at once as there will be workers. Other load on this machine
    makes the estimate longer.

    Args:
        file: A study file, or the name of one that ships with the package, such as small.
        data: Plan the study on another data set.
        workers: Runs at a time; by default as many as the cores allow.
        seconds: Time spent on the steps of every kind; at least three steps are taken.
    """
    study = Study.from_file(file)
    study = study.on_data(data) if data else study
    study.check_devices()
    study.check_data()
    threads = study.resources.cpus
    workers = workers or usual_workers(threads)
    with StepProgress("timing kinds of runs", None) as progress:
        estimate = plan(
            [run.config for run in study.runs_by_seed()],
            workers=workers,
            threads=threads,
            images=study.images,
            seconds=seconds,
            on_kind=progress,
        )
    each = counted(threads, "thread")
    say(
        f"{study.name}: {counted(len(study.runs), 'run')}, {estimate.workers} at a time, "
        f"{each} each"
    )
    of_run = sorted(run.seconds for run in estimate.runs)
    shortest, longest = duration(of_run[0]), duration(of_run[-1])
    say(f"a run: {shortest}" + (f" to {longest}" if longest != shortest else ""))
    rate = 3600 * len(estimate.runs) / estimate.seconds
    say(f"the study: {duration(estimate.seconds)}, {rate:,.{0 if rate >= 10 else 1}f} runs an hour")
    say(f"disk: {estimate.bytes / 1e6:,.1f} MB when done")
