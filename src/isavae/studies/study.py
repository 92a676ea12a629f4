"""A study: the runs described by one file, and how to execute them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, final

import yaml

from isavae import bounded_yaml
from isavae.files import read_text
from isavae.studies.located_yaml import LocatedYaml
from isavae.studies.planned_run import PlannedRun, runs_of_block
from isavae.studies.shared_data import open_shared
from isavae.studies.study_file import Resources, check_known, read_study_file
from isavae.training import check_batch, resolve_device

SHIPPED = resources.files("isavae.studies") / "shipped"


@final
@dataclass(frozen=True)
class Study:
    """A list of runs, and how to execute them.

    Attributes:
        name: Its name.
        about: A one-line description.
        runs: Its runs, without duplicates.
        resources: Resources of one run.
        retries: Number of retries of a failed run.
        images: Images for the likelihood terms of the scores; None takes all.
        text: The text of the study file.
        source: Where the text comes from, for error messages.
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
    def parse(cls, text: str | Mapping[str, Any], source: str = "study") -> "Study":
        """A study from its YAML text, or from the same as plain values.

        Args:
            text: The text or the values.
            source: Its name in messages.

        Raises:
            ValueError: If it is no valid study; gives the line of the first mistake.

        >>> study = Study.parse('''
        ... name: two by two
        ... seeds: 2
        ... runs:
        ... - {model: isa-vae, beta: [1, 4], steps: 100}
        ... ''')
        >>> [(run.config.objective.beta, run.config.seed) for run in study.runs]
        [(1.0, 0), (1.0, 1), (4.0, 0), (4.0, 1)]
        """
        text = text if isinstance(text, str) else yaml.safe_dump({**text}, sort_keys=False)
        located = LocatedYaml(text, source)
        file = read_study_file(located)
        check_known(located, file.settings, ("settings",))
        runs: dict[str, PlannedRun] = {}
        for position, block in enumerate(file.runs):
            for run in runs_of_block(located, file, block, ("runs", position)):
                runs.setdefault(run.id, run)
        if not runs:
            raise ValueError(f"{source}: a study must have runs; its lists are empty")
        return cls(
            file.name, file.about, tuple(runs.values()), file.resources, file.retries, file.images,
            text, source,
        )  # fmt: skip

    @classmethod
    def from_file(cls, name_or_path: str | os.PathLike[str]) -> "Study":
        """A study from a file, or one that ships with the package, by name.

        Raises:
            ValueError: If there is no such study, or it is not valid.

        >>> Study.from_file("smoke").name
        'smoke'
        """
        path = Path(name_or_path)
        if path.is_file():
            return cls.parse(_text(path), str(path))
        shipped = SHIPPED / f"{name_or_path}.yaml"
        if not re.fullmatch(r"[\w-]+", str(name_or_path)) or not shipped.is_file():
            raise ValueError(
                f"a study must be a YAML file or one of {', '.join(shipped_studies())}; "
                f"{name_or_path} is neither"
            )
        return cls.parse(shipped.read_text(encoding="utf-8"), f"{name_or_path}.yaml")

    def on_data(self, name: str) -> "Study":
        """The study on another data set, except for blocks that name their own.

        >>> Study.from_file("smoke").on_data("dsprites").runs[0].config.data
        'dsprites'
        """
        values = yaml.safe_load(self.text)
        values["settings"] = {**values.get("settings", {}), "data": name}
        return Study.parse(values, self.source)

    def runs_by_seed(self) -> list[PlannedRun]:
        """Its runs seed by seed, so that every setting has results early."""
        return sorted(self.runs, key=lambda run: run.config.seed)

    def check_data(self) -> None:
        """Open or draw every data set, and check that a batch fits.

        Raises:
            ValueError: If data are missing or too few; gives the line of the first such run.
        """
        asked = {(run.config.data, run.config.batch_size): run for run in self.runs}
        for (name, batch_size), run in asked.items():
            try:
                check_batch(batch_size, len(open_shared(name)))
            except ValueError as error:
                raise ValueError(f"{self.source}, line {run.line}: {error}") from None

    def check_devices(self) -> None:
        """Check that the devices of all runs exist on this machine.

        Raises:
            ValueError: If one does not.
        """
        for device in {run.config.device for run in self.runs}:
            resolve_device(device)


def _text(path: Path) -> str:
    """The text of a study file.

    Raises:
        ValueError: If it is no text.
    """
    try:
        return read_text(path, bounded_yaml.MOST_BYTES)
    except UnicodeDecodeError as error:
        raise ValueError(f"a study must be a text in UTF-8; {path} is not ({error})") from None


def shipped_studies() -> list[str]:
    """The names of the studies that ship with the package."""
    names = (entry.name for entry in SHIPPED.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))
