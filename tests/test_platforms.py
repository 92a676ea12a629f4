"""What must hold on other systems than Linux, tried where the tests run."""

import multiprocessing
import os
import subprocess
import sys

import filelock
import pytest

from isavae.cli import main
from isavae.locks import locked
from isavae.studies import LocalEngine, StudyDirectory
from isavae.studies.remote import Remote
from tests.study_runs import tiny_study

pytestmark = pytest.mark.system

# Takes from isavae, and from nobody else, what Windows does not have; then imports all of it.
WITHOUT_POSIX = """
import builtins, importlib, multiprocessing.context, os, pkgutil, signal, sys

MISSING = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
found = builtins.__import__

def windows(name, globals=None, locals=None, fromlist=(), level=0):
    asks = (globals or {}).get("__name__", "")
    if asks.split(".")[0] == "isavae" and level == 0 and name.split(".")[0] in MISSING:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return found(name, globals, locals, fromlist, level)

import torch, ray, s3fs, tensorboard
del multiprocessing.context.ForkServerContext, signal.pthread_sigmask, signal.SIGKILL
del os.getuid, os.geteuid, os.statvfs
builtins.__import__ = windows
import isavae
names = [m.name for m in pkgutil.walk_packages(isavae.__path__, "isavae.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names))
"""


def test_every_module_can_be_imported_without_what_windows_lacks():
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_POSIX], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.splitlines()[-1]) > 100


@pytest.fixture
def cannot_fork(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])


def test_local_runs_are_refused_where_nothing_can_fork(cannot_fork):
    with pytest.raises(ValueError, match=r"can fork.*\(win32\) can only spawn: use WSL, or.*ray"):
        LocalEngine(1)


def test_the_command_line_says_so_too(cannot_fork, tmp_path, capsys):
    file = tmp_path / "tiny.yaml"
    file.write_text(tiny_study().text)
    assert main(["study", "run", str(file), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "use WSL" in said
    assert "pip install" not in said


def test_scratch_of_a_remote_study_needs_no_number_of_a_user(monkeypatch):
    mine = Remote("s3://bucket/study").scratch
    assert mine.parent.name == f"isavae-{os.getuid()}"
    monkeypatch.delattr(os, "getuid")
    assert Remote("s3://bucket/study").scratch.parent.name == "isavae"


HOLD = """
import sys
from pathlib import Path
from isavae.locks import locked
with locked(Path(sys.argv[1])) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_given_back_when_its_holder_is_killed(tmp_path):
    path = tmp_path / "locks" / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "True\n"
    with locked(path) as held:
        assert not held
    holder.kill()
    with locked(path, wait=True) as held:
        assert held
    holder.communicate()
    with locked(path) as held:
        assert held, "it is given back at the end of the block"


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("isavae.locks.FileLock", filelock.SoftFileLock)
    directory = StudyDirectory(tmp_path)
    with pytest.raises(OSError, match=r"with locks.*has none: choose"), directory.lock("run"):
        pass
    assert not list((tmp_path / "locks").iterdir())
