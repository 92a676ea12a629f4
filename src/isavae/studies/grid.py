"""A study as data: a YAML file of settings, expanded to a list of `RunConfig`s.

    name: my-study
    seeds: 10                        # 0..9; or a list
    settings: {data: dsprites16, steps: 2000}
    runs:                            # each block is the product of its lists
      - model: [beta-vae, isa-vae]
        beta: [1, 2, 4]
      - model: factor-vae
        objective: {gamma: [1, 10]}
      - zip: {prior: ["1.5*10", "4*10"], lr: [1.0e-3, 5.0e-4]}   # one after the other, together

Beside these may stand `about`, `resources: {cpus, gpus, memory}` of one run, `retries`, and
`images`, how many are drawn for log p(x|z) and the KL divergence.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, final

import yaml
from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from isavae.runs import PRESETS, RunConfig, merge_settings, preset, require_trainable
from isavae.studies.lines import LinedYaml
from isavae.studies.local_data import open_once
from isavae.training import require_batch, resolve_device

SHIPPED = resources.files("isavae.studies") / "files"


@final
class Resources(BaseModel):
    """What one run may use: threads, GPUs (a share of one is allowed) and memory in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: int | None = Field(None, ge=1)
    gpus: float = Field(0, ge=0)
    memory: ByteSize | None = None


@final
class _StudyFile(BaseModel):
    """The shape of a study file; what is in its settings is `RunConfig`'s business."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str = ""
    seeds: int | list[int] = 1
    settings: dict[str, Any] = {}
    runs: list[dict[str, Any]] = Field(min_length=1)
    resources: Resources = Resources()
    retries: int = Field(2, ge=0)
    images: int | None = Field(10_000, ge=1)


@final
@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        id: its name in every study, from its content.
        config: its settings.
        line: where it stands in the study file.
    """

    id: str
    config: RunConfig
    line: int


@final
@dataclass(frozen=True)
class Study:
    """A list of runs and how to run them.

    Attributes:
        name: what the study is called.
        about: one sentence on it.
        runs: its runs, each once.
        resources: what one run may use.
        retries: how often a failed run is tried again.
        images: images for the likelihood terms of the scores; None takes all.
        text: the study file.
        source: where it was read from.
    """

    name: str
    about: str
    runs: tuple[PlannedRun, ...]
    resources: Resources
    retries: int
    images: int | None
    text: str
    source: str

    @classmethod
    def parse(cls, text: str, source: str = "study") -> "Study":
        """A study from its YAML text.

        Raises:
            ValueError: one sentence, with the line, about the first thing that is wrong.

        >>> study = Study.parse('''
        ... name: two by two
        ... seeds: 2
        ... runs:
        ... - {model: isa-vae, beta: [1, 4], steps: 100}
        ... ''')
        >>> [(run.config.objective.beta, run.config.seed) for run in study.runs]
        [(1.0, 0), (1.0, 1), (4.0, 0), (4.0, 1)]
        """
        lined = LinedYaml(text, source)
        file = _validated(lined)
        runs: dict[str, PlannedRun] = {}
        for position, block in enumerate(file.runs):
            for run in _runs_of_block(lined, file, block, ("runs", position)):
                runs.setdefault(run.id, run)
        return cls(
            file.name, file.about, tuple(runs.values()), file.resources, file.retries, file.images,
            text, source,
        )  # fmt: skip

    @classmethod
    def from_file(cls, name_or_path: str | os.PathLike[str]) -> "Study":
        """A study from a file, or one that ships with the package, by name.

        Raises:
            ValueError: if there is none, or something is wrong in it.

        >>> Study.from_file("smoke").name
        'smoke'
        """
        path = Path(name_or_path)
        if path.is_file():
            return cls.parse(path.read_text(encoding="utf-8"), str(path))
        shipped = SHIPPED / f"{name_or_path}.yaml"
        if not re.fullmatch(r"[\w-]+", str(name_or_path)) or not shipped.is_file():
            raise ValueError(
                f"a study must be a YAML file or one of {', '.join(shipped_studies())}; "
                f"{name_or_path} is neither"
            )
        return cls.parse(shipped.read_text(encoding="utf-8"), f"{name_or_path}.yaml")

    def on_data(self, name: str) -> "Study":
        """The same study on another data set, where its blocks do not name their own.

        >>> Study.from_file("smoke").on_data("dsprites").runs[0].config.data
        'dsprites'
        """
        values = yaml.safe_load(self.text)
        values["settings"] = {**values.get("settings", {}), "data": name}
        return Study.parse(yaml.safe_dump(values, sort_keys=False), self.source)

    def runs_in_turn(self) -> list[PlannedRun]:
        """Its runs seed by seed, the order of work in which every setting is seen early."""
        return sorted(self.runs, key=lambda run: run.config.seed)

    def require_data(self) -> None:
        """Open every data set, drawing it where needed, and check that batches fit it.

        Raises:
            ValueError: with the line of the first run whose data are missing or too few.
        """
        asked = {(run.config.data, run.config.batch_size): run for run in self.runs}
        for (name, batch_size), run in asked.items():
            try:
                require_batch(batch_size, len(open_once(name)))
            except ValueError as error:
                raise ValueError(f"{self.source}, line {run.line}: {error}") from None

    def require_devices(self) -> None:
        """Check that the devices of all runs exist here.

        Raises:
            ValueError: if one does not.
        """
        for device in {run.config.device for run in self.runs}:
            resolve_device(device)


def shipped_studies() -> list[str]:
    """The names of the studies that come with the package."""
    names = (entry.name for entry in SHIPPED.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def run_id(config: RunConfig) -> str:
    """The name of a run, from its content: what differs from the defaults, but for the device.

    Settings that the library gains later, with their defaults, change no name.

    >>> run_id(RunConfig(seed=3, device="cuda")) == run_id(RunConfig(seed=3, device="cpu"))
    True
    """
    content = config.model_dump(mode="json", exclude={"device"}, exclude_defaults=True)
    name = config.objective.name
    digest = hashlib.sha256(json.dumps([name, content], sort_keys=True).encode()).hexdigest()
    return f"{name}-s{config.seed:02d}-{digest[:12]}"


def _validated(lined: LinedYaml) -> _StudyFile:
    if not isinstance(lined.values, dict):
        raise ValueError(f"{lined.source}: a study must map names to values, as `name: ...`")
    try:
        return _StudyFile.model_validate(lined.values)
    except ValidationError as error:
        # An unknown name first: it is often why another one is missing.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        path = first["loc"]
        if first["type"] == "extra_forbidden":
            fields = Resources.model_fields if path[0] == "resources" else _StudyFile.model_fields
            raise lined.error(_unknown(str(path[-1]), fields, "a study"), path) from None
        if first["type"] == "missing":
            raise lined.error(f"a study must have {path[-1]!r}", path) from None
        message = f"{path[0]}: {first['msg'][0].lower()}{first['msg'][1:]}; got {first['input']!r}"
        raise lined.error(message, path) from None


def _runs_of_block(
    lined: LinedYaml, file: _StudyFile, block: Mapping[str, Any], at: tuple[str, int]
) -> Iterator[PlannedRun]:
    _require_known(lined, file.settings, ("settings",))
    _require_known(lined, block, at)
    shared = {name: value for name, value in file.settings.items() if name != "model"}
    own = {name: value for name, value in block.items() if name != "seeds"}
    try:
        choices = list(combinations({"model": file.settings.get("model"), **own}))
    except ValueError as error:
        raise lined.error(str(error), at) from None
    for chosen in choices:
        model = chosen.pop("model")
        for seed in _seeds(block.get("seeds", file.seeds), lined, at):
            try:
                layers = [preset(model) if model else {}, shared, chosen, {"seed": seed}]
                config = RunConfig.parse(merge_settings(*layers))
                require_trainable(config.model_copy(update={"device": "cpu"}))
            except ValueError as error:
                raise lined.error(str(error), _culprit(str(error), file, block, at)) from None
            yield PlannedRun(run_id(config), config, lined.line(*at))


def combinations(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every choice of one value per list; lists under `zip` go together, mappings are expanded.

    Raises:
        ValueError: if lists under `zip` differ in length.

    >>> list(combinations({"beta": [1, 2], "zip": {"lr": [1, 2], "width": [3, 4]}}))[1]
    {'beta': 1, 'lr': 2, 'width': 4}
    """
    axes = [
        _zipped(value) if name == "zip" else [{name: choice} for choice in _choices(value)]
        for name, value in block.items()
    ]
    for parts in product(*axes):
        yield {name: value for part in parts for name, value in part.items()}


def _choices(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(combinations(value))
    if isinstance(value, list):
        return [choice for each in value for choice in _choices(each)]
    return [value]


def _zipped(columns: Any) -> list[dict[str, Any]]:
    lists = columns if isinstance(columns, Mapping) else {"": columns}
    if not all(isinstance(column, list) for column in lists.values()):
        raise ValueError(f"zip must map names to lists; got {columns!r}")
    if len({len(column) for column in lists.values()}) != 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in lists.items())
        raise ValueError(f"lists under zip must have one length; got {sizes}")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _seeds(seeds: Any, lined: LinedYaml, at: tuple[str | int, ...]) -> list[int]:
    listed = list(range(seeds)) if isinstance(seeds, int) else seeds
    valid = isinstance(listed, list) and all(type(s) is int and s >= 0 for s in listed)
    if not (valid and listed):
        path = (*at, "seeds") if lined.line(*at, "seeds") != lined.line(*at) else ("seeds",)
        raise lined.error(f"seeds must be a number or a list of numbers; got {seeds!r}", path)
    return listed


def _require_known(lined: LinedYaml, block: Mapping[str, Any], at: tuple[str | int, ...]) -> None:
    known = {*RunConfig.model_fields, "model", "beta"} - {"seed"}
    extra = {"zip", "seeds"} if at[0] == "runs" else set()
    for name in block:
        if name not in known | extra:
            raise lined.error(_unknown(str(name), sorted(known | extra), "a run"), (*at, name))
    model = block.get("model", [])
    for name in model if isinstance(model, list) else [model]:
        if name not in PRESETS:
            near = get_close_matches(str(name), PRESETS, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            message = f"a model must be one of {', '.join(PRESETS)}; got {name!r}{hint}"
            raise lined.error(message, (*at, "model"))


def _unknown(name: str, known: Any, owner: str) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    return f"{name!r} is nothing that {owner} has; {hint}"


def _culprit(
    message: str, file: _StudyFile, block: Mapping[str, Any], at: tuple[str | int, ...]
) -> tuple[str | int, ...]:
    """Where the setting stands that `RunConfig` complains about: its message begins with it."""
    name = re.split(r"[ .:]", message, maxsplit=1)[0].strip("'")
    inside = ("zip",) if name in (block.get("zip") or {}) else ()
    if name in block or inside:
        return (*at, *inside, name)
    if name in file.settings:
        return ("settings", name)
    return (*at, "objective") if "objective" in block else at
