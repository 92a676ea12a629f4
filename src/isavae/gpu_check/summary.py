"""The results of a check as a page of Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import mean
from typing import Any

from isavae.gpu_check.floor import SETTINGS

DATA = """The images are dSprites as isavae draws it: 737,280 images of 64 x 64 pixels, one bit
each, of the published outlines and factors. Nothing was downloaded. Scores are computed on the true
factors of these images."""
TINY = "**On a CPU all settings are tiny: the numbers show that the command works, no more.**"
LEFT_OUT = "not done yet: the same command goes on"


def summarise(parts: dict[str, Any]) -> str:
    """The page for what `gpu-check.json` holds so far."""
    machine = parts["machine"]
    sections = [
        "# Check of a GPU",
        f"{machine['name']} ({machine['device']}), {machine['cores']} CPU cores, torch "
        f"{machine['torch']}, CUDA {machine.get('cuda')}, isavae {machine['isavae']}.",
        TINY if machine["device"] == "cpu" else DATA,
        "## Tests marked gpu",
        _tests(parts.get("tests")),
        "## A step against its floor",
        _table(["images, layers, batch", "objective", "precision", "step", "floor", "step / floor",
                "TFLOP/s in the step", "most of the time"], map(_step, parts.get("steps", []))),
        "## Runs at once",
        _table(["processes", "steps per second, all together"],
               ((each["processes"], each.get("steps_per_second", each.get("error")))
                for each in parts.get("at_once", []))),
        "## Runs",
        *_runs(parts.get("runs")),
    ]  # fmt: skip
    return "\n\n".join(sections) + "\n"


def _tests(found: dict[str, Any] | None) -> str:
    if found is None:
        return LEFT_OUT
    if "left_out" in found:
        return f"Left out: {found['left_out']}."
    counts = ", ".join(f"{count} {kind}" for kind, count in found.items() if kind != "output")
    output = "\n".join(found.get("output", []))
    return counts + (f"\n\n```\n{output}\n```" if output else "")


def _step(step: dict[str, Any]) -> tuple[Any, ...]:
    low, middle, high = step["over_floor"]
    setting = SETTINGS[step["setting"]]
    return (
        f"{setting.side} x {setting.side}, {setting.width} wide, batch {setting.batch}",
        step["objective"],
        step["precision"],
        f"{1e3 * step['step']:.3f} ms",
        f"{1e3 * (step['products'] + step['copies']):.3f} ms",
        f"{middle:.2f} ({low:.2f} to {high:.2f})",
        f"{step['flop'] / step['step'] / 1e12:.2f}",
        ", ".join(f"{name[:40]} {part:.0f} %" for name, part in list(step["shares"].items())[:3]),
    )


def _runs(runs: dict[str, Any] | None) -> Iterator[str]:
    if runs is None:
        yield LEFT_OUT
        return
    finished, total, rate = len(runs["finished"]), runs["total"], runs["per_hour"]
    yield (
        f"{finished:,} of {total:,} runs finished in {runs['seconds']:.0f} s, "
        f"{runs['processes']} at once."
    )
    if rate:
        yield (
            f"{rate:,.0f} runs an hour, counting shares of unfinished ones; all {total:,} would "
            f"take {total / rate:.1f} h."
        )
    rows: dict[tuple[float, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs["finished"]:
        rows[run["beta"], run["model"]].append(run)
    yield _table(
        ["model", "β or γ", "runs", "seconds a run", "MIG", "reconstruction", "KL"],
        ((model, f"{beta:g}", len(of_one), *(_mean(of_one, name) for name in
          ("seconds", "mig", "reconstruction", "kl")))
         for (beta, model), of_one in sorted(rows.items())),
    )  # fmt: skip


def _mean(runs: list[dict[str, Any]], name: str) -> str:
    values = [run[name] for run in runs if run[name] is not None]
    return f"{mean(values):.4g}" if values else ""


def _table(head: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [[*head], ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else LEFT_OUT
