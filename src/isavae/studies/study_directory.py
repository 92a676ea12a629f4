"""A study directory: `study.yaml`, `runs/<id>/`, locks, and the request to stop.

A run directory in a study is like one that `isavae train` creates, plus `work.json`, the record of
its execution. `scores.json` is written last, so a run with scores is done.
"""

import os
import secrets
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, final

from isavae.files import (
    DamagedFileError,
    atomic_write,
    is_temporary,
    read_json,
    write_json,
    write_text,
)
from isavae.locks import locked
from isavae.studies.remote import Remote, is_remote
from isavae.studies.study import Study

RunState = Literal["missing", "started", "running", "failed", "done"]


@final
@dataclass(frozen=True)
class RunRecord:
    """The record of a run's execution: `work.json`.

    Attributes:
        failed: Whether the run was given up.
        attempts: Number of attempts, if it failed.
        error: The last error, in one line.
        steps: Optimiser steps of the finished run.
        seconds: Duration of the attempt that finished it.
        threads: Threads that it used.
        host: The machine that finished it.
    """

    failed: bool = False
    attempts: int = 0
    error: str | None = None
    steps: int | None = None
    seconds: float | None = None
    threads: int | None = None
    host: str | None = None


@final
@dataclass(frozen=True)
class StudyDirectory:
    """The directory of a study, which several drivers may share.

    Args:
        path: Its path; for a remote study, the local mirror of its small files.
        remote: The object storage of a remote study.
    """

    path: Path
    remote: Remote | None = None

    @classmethod
    def at(cls, place: str | os.PathLike[str]) -> "StudyDirectory":
        """The study directory at a path or a URL; a remote one is mirrored first."""
        if not is_remote(place):
            return cls(Path(place))
        remote = Remote(str(place).rstrip("/"))
        remote.mirror(remote.scratch)
        return cls(remote.scratch, remote)

    @property
    def place(self) -> str:
        """The URL of a study in object storage, else its path."""
        return self.remote.url if self.remote else str(self.path)

    def run_path(self, run: str) -> Path:
        """The directory of a run, by the run's id."""
        return self.path / "runs" / run

    def initialise(self, study: Study) -> None:
        """Create the directory, or continue the study in it, possibly with more runs.

        Raises:
            ValueError: If the directory belongs to another study, or cannot be written.
        """
        kept = self.path / "study.yaml"
        if kept.is_file():
            before = self.study()
            if before.name != study.name:
                raise ValueError(
                    f"a study directory belongs to one study; {self.path} belongs to "
                    f"{before.name!r}, not to {study.name!r}: choose another --out"
                )
            if before.text == study.text:
                return
        elif self._has_other_files() and not kept.is_file():
            raise ValueError(
                f"a study must start in a new or empty directory; {self.path} is not: "
                "choose another --out"
            )
        try:
            write_text(kept, study.text)
            for name in ("runs", "locks"):
                (self.path / name).mkdir(exist_ok=True)
            if self.remote:
                self.remote.write("study.yaml", kept.read_bytes())
        except OSError as error:
            raise ValueError(
                f"a study's directory must be writable; {self.path}: {error.strerror}"
            ) from None

    def _has_other_files(self) -> bool:
        """Whether there is anything but the first file that another driver is writing now."""
        return self.path.is_dir() and any(not is_temporary(entry) for entry in self.path.iterdir())

    def study(self) -> Study:
        """The study that the directory belongs to.

        Raises:
            ValueError: If there is no study in it, or its file is damaged.
        """
        kept = self.path / "study.yaml"
        if not kept.is_file():
            raise ValueError(f"a study directory must hold a study.yaml; {self.path} does not")
        return Study.from_file(kept)

    def lock(self, run: str) -> AbstractContextManager[bool]:
        """Hold a run for the duration of the block; False if another process holds it."""
        return locked(self.path / "locks" / run)

    def is_locked(self, run: str) -> bool:
        """Whether a process holds a run."""
        if not (self.path / "locks" / run).exists():
            return False
        with self.lock(run) as free:
            return not free

    def state(self, run: str) -> RunState:
        """What has become of a run of that name."""
        if self.is_done(run):
            return "done"
        if self.is_locked(run):
            return "running"
        if self.record(run).failed:
            return "failed"
        return "started" if self.run_path(run).exists() else "missing"

    def is_done(self, run: str) -> bool:
        """Whether a run is trained and scored."""
        try:
            read_json(self.run_path(run) / "scores.json")
        except (FileNotFoundError, NotADirectoryError, DamagedFileError):
            return False
        return True

    def record(self, run: str) -> RunRecord:
        """The record of a run; an empty one if it has none."""
        try:
            return RunRecord(**read_json(self.run_path(run) / "work.json"))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return RunRecord()

    def write_record(self, run: str, record: RunRecord) -> None:
        """Store what is known of a run's attempts and time, beside the run."""
        write_json(self.run_path(run) / "work.json", asdict(record))

    def give_up(self, run: str, attempts: int, error: str) -> None:
        """Record that a run has failed, unless another process holds it.

        Args:
            run: Its id.
            attempts: How often it was tried.
            error: The first line of the last error.
        """
        with self.lock(run) as held:
            if held and not self.is_done(run):
                self.write_record(run, RunRecord(failed=True, attempts=attempts, error=error))
                if self.remote:
                    self.remote.store_run(run, self.run_path(run))

    def quarantine(self, run: str) -> Path:
        """Move an unusable run directory to `corrupt/`; return its new path."""
        target = self.path / "corrupt" / f"{run}-{secrets.token_hex(3)}"
        target.parent.mkdir(exist_ok=True)
        os.replace(self.run_path(run), target)
        return target

    def stop_token(self) -> bytes:
        """A value that changes with every request to stop."""
        if self.remote:
            return self.remote.read("stop") or b""
        try:
            return (self.path / "stop").read_bytes()
        except FileNotFoundError:
            return b""

    def request_stop(self) -> None:
        """Ask all drivers of the study to checkpoint and stop."""
        token = secrets.token_hex(8).encode()
        if self.remote:
            self.remote.write("stop", token)
            return
        with atomic_write(self.path / "stop") as file:
            file.write(token)

    def wait_until_idle(self, runs: Iterable[str]) -> None:
        """Return when no process holds any of the runs."""
        for run in runs:
            with locked(self.path / "locks" / run, wait=True):
                continue
