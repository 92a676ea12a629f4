"""The runs of a study file: every combination of the lists in its blocks, each with a name."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, final

from isavae.errors import shown
from isavae.runs import RunConfig, check_trainable, merge_settings, preset
from isavae.studies.located_yaml import LocatedYaml
from isavae.studies.study_file import MOST_RUNS, StudyFile, check_known, locate_error, seeds_of

# Settings whose value is a list of points; several values are a list of such lists.
LISTS = frozenset({"schedule"})


@final
@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        id: Its name, the same in every study, derived from its settings.
        config: Its settings.
        line: Its line in the study file.
    """

    id: str
    config: RunConfig
    line: int


def run_id(config: RunConfig) -> str:
    """The name of a run, derived from the settings that differ from the defaults, device excepted.

    Settings added to the library later do not change the names of existing runs.

    >>> run_id(RunConfig(seed=3, device="cuda")) == run_id(RunConfig(seed=3, device="cpu"))
    True
    """
    content = config.model_dump(mode="json", exclude={"device"}, exclude_defaults=True)
    name = config.objective.name
    digest = hashlib.sha256(json.dumps([name, content], sort_keys=True).encode()).hexdigest()
    return f"{name}-s{config.seed:02d}-{digest[:12]}"


def runs_of_block(
    located: LocatedYaml, file: StudyFile, block: Mapping[str, Any], at: tuple[str, int]
) -> Iterator[PlannedRun]:
    """The runs of one block of a study file, in the order of its lists.

    Raises:
        ValueError: If a setting is wrong; gives the line of the first one.
    """
    check_known(located, block, at)
    shared = {name: value for name, value in file.settings.items() if name != "model"}
    own = {name: value for name, value in block.items() if name != "seeds"}
    try:
        choices = list(combinations({"model": file.settings.get("model"), **own}))
    except ValueError as error:
        raise located.error(str(error), at) from None
    for chosen in choices:
        model = chosen.pop("model")
        for number, seed in enumerate(seeds_of(located, file, block, at)):
            try:
                layers = [preset(model) if model else {}, shared, chosen, {"seed": seed}]
                config = RunConfig.parse(merge_settings(*layers))
                if number == 0:  # what it checks does not depend on the seed
                    check_trainable(config.model_copy(update={"device": "cpu"}))
            except ValueError as error:
                raise located.error(str(error), locate_error(error, file, block, at)) from None
            yield PlannedRun(run_id(config), config, located.line(*at))


def combinations(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every choice of one value per list; lists under `zip` advance together, mappings expand.

    Raises:
        ValueError: If lists under `zip` differ in length, or there are too many choices.

    >>> list(combinations({"beta": [1, 2], "zip": {"learning_rate": [1, 2], "width": [3, 4]}}))[1]
    {'beta': 1, 'learning_rate': 2, 'width': 4}
    >>> list(combinations({"schedule": [[0, 16], [5000, 1]]}))
    [{'schedule': [[0, 16], [5000, 1]]}]
    """
    axes: list[list[dict[str, Any]]] = [
        _zipped(value) if name == "zip" else [{name: choice} for choice in _choices(name, value)]
        for name, value in block.items()
    ]
    if math.prod(len(axis) for axis in axes) > MOST_RUNS:
        raise ValueError(f"a block must have at most {MOST_RUNS:,} combinations; it has more")
    for parts in product(*axes):
        yield {name: value for part in parts for name, value in part.items()}


def _choices(name: str, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(combinations(value))
    if isinstance(value, list) and not (name in LISTS and _is_list_of_points(value)):
        return [choice for each in value for choice in _choices(name, each)]
    return [value]


def _is_list_of_points(value: list[Any]) -> bool:
    return all(
        isinstance(point, list) and not any(isinstance(number, list) for number in point)
        for point in value
    )


def _zipped(columns: Any) -> list[dict[str, Any]]:
    is_mapping = isinstance(columns, Mapping) and columns
    if not is_mapping or not all(isinstance(column, list) for column in columns.values()):
        raise ValueError(f"zip must map names to lists; got {shown(columns)}")
    if len({len(column) for column in columns.values()}) != 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise ValueError(f"lists under zip must have one length; got {sizes}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
