"""A study file: its fields, and errors that give the line of a mistake.

    name: my-study
    seeds: 10                        # 0..9; or a list
    settings: {data: dsprites16, steps: 2000}
    runs:                            # each block is the product of its lists
      - model: [beta-vae, isa-vae]
        beta: [1, 2, 4]
      - model: factor-vae
        objective: {gamma: [1, 10]}
      - zip: {prior: ["1.5*10", "4*10"], learning_rate: [1.0e-3, 5.0e-4]}  # pairwise

Optional fields: `about`, `resources: {cpus, gpus, memory}` of one run, `retries`, and `images`,
the number of images for log p(x|z) and the KL divergence.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, final

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, ValidationError

from isavae.errors import in_line, shown
from isavae.runs import RunConfig, SettingError
from isavae.runs.execution import MOST_THREADS
from isavae.studies.located_yaml import LocatedYaml

# Of a study: each takes a directory, and a second at the very least.
MOST_RUNS = 100_000


@final
class Resources(BaseModel):
    """Resources of one run: threads, GPUs (fractions are allowed) and memory in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: int = Field(1, ge=1, le=MOST_THREADS)
    gpus: float = Field(0, ge=0)
    memory: ByteSize | None = None


def _one_line(name: str) -> str:
    """Check that a name stands in one line: it is shown in messages."""
    if in_line(name) != name:
        raise ValueError("a name must be one line, without control characters")
    return name


@final
class StudyFile(BaseModel):
    """The fields of a study file; `RunConfig` validates the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_one_line)]
    about: str = ""
    seeds: int | list[int] = 1
    settings: dict[str, Any] = {}
    runs: list[dict[str, Any]] = Field(min_length=1)
    resources: Resources = Resources()
    retries: int = Field(2, ge=0)
    images: int | None = Field(10_000, ge=1)


def read_study_file(located: LocatedYaml) -> StudyFile:
    """Validate a YAML text as a study file.

    Raises:
        ValueError: If the file is not valid; gives the line of the first mistake.
    """
    if not isinstance(located.values, dict):
        raise ValueError(f"{located.source}: a study must map names to values, as `name: ...`")
    try:
        return StudyFile.model_validate(located.values)
    except ValidationError as error:
        # An unknown name first: it is often the reason why another one is missing.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        path = first["loc"]
        if first["type"] == "extra_forbidden":
            fields = Resources.model_fields if path[0] == "resources" else StudyFile.model_fields
            raise located.error(_unknown(str(path[-1]), fields, "a study"), path) from None
        if first["type"] == "missing":
            raise located.error(f"a study must have {path[-1]!r}", path) from None
        message = (
            f"{path[0]}: {first['msg'][0].lower()}{first['msg'][1:]}; got {shown(first['input'])}"
        )
        raise located.error(message, path) from None


def check_known(located: LocatedYaml, block: Mapping[str, Any], at: tuple[str | int, ...]) -> None:
    """Raise a `ValueError`, with the line, for a name in a block or settings that no run has."""
    known = {*RunConfig.model_fields, "model", "beta"} - {"seed"}
    extra = {"zip", "seeds"} if at[0] == "runs" else set()
    for name in block:
        if name not in known | extra:
            raise located.error(_unknown(str(name), sorted(known | extra), "a run"), (*at, name))


def seeds_of(
    located: LocatedYaml, file: StudyFile, block: Mapping[str, Any], at: tuple[str | int, ...]
) -> list[int]:
    """The seeds of a block: its own, or those of the study.

    Raises:
        ValueError: If they are neither a number nor a list of numbers; gives the line.
    """
    seeds = block.get("seeds", file.seeds)
    few = isinstance(seeds, int) and seeds <= MOST_RUNS
    listed = list(range(seeds)) if few else seeds
    valid = isinstance(listed, list) and all(type(s) is int and s >= 0 for s in listed)
    if not (valid and listed):
        path = (*at, "seeds") if "seeds" in block else ("seeds",)
        must = "seeds must be a number or a list of numbers"
        most = f", at most {MOST_RUNS:,}" if isinstance(seeds, int) and seeds > 0 else ""
        raise located.error(f"{must}{most}; got {shown(seeds)}", path)
    return listed


def locate_error(
    error: ValueError, file: StudyFile, block: Mapping[str, Any], at: tuple[str | int, ...]
) -> tuple[str | int, ...]:
    """The place in the file of the setting that an error is about."""
    name = (error.setting or "") if isinstance(error, SettingError) else ""
    if name in (block.get("zip") or {}):
        return (*at, "zip", name)
    if name in block:
        return (*at, name)
    if name in file.settings:
        return ("settings", name)
    return (*at, "objective") if "objective" in block else at


def _unknown(name: str, known: Any, owner: str) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    return f"{name!r} is not a name that {owner} has; {hint}"
