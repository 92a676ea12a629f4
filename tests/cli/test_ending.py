"""Commands that are asked to stop, and streams that the shell has closed."""

import os
import shlex
import signal
import subprocess
import sys

import pytest

from isavae.cli import main
from isavae.cli.command_line import VERBS, _stopped_in_order
from isavae.cli.training import interruptible

pytestmark = pytest.mark.system

HANDLERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def signals_of_a_terminal():
    """Signals as a terminal leaves them: nohup, under which the tests may run, ignores some."""
    usual = (signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL)
    before = [signal.signal(*each) for each in zip(HANDLERS, usual, strict=True)]
    yield
    for number, handler in zip(HANDLERS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", HANDLERS)
def test_a_command_that_is_asked_to_stop_says_so_in_one_line(number, monkeypatch, capsys):
    before = [signal.getsignal(each) for each in HANDLERS]
    monkeypatch.setattr(
        type(VERBS["data list"]), "load", lambda verb: lambda: signal.raise_signal(number)
    )
    assert main(["data", "list"]) == 130
    assert capsys.readouterr().err.splitlines() == [
        "isavae data list: stopped; the same command starts again or resumes"
    ]
    assert [signal.getsignal(each) for each in HANDLERS] == before


def test_an_interrupted_fit_prints_the_command_that_goes_on(monkeypatch, capsys):
    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("isavae.cli.fit.fit_images", interrupted)
    words = ["fit", "my images", "--out", "found", "--budget", "2h", "--size", "64"]
    words += ["--fit", "pad", "--prior", "6[6*2]", "--beta", "2.0", "4.0", "--seeds", "3"]
    words += ["--steps", "9", "--learn-exponents", "--workers", "1"]
    assert main(words) == 130
    assert capsys.readouterr().out.splitlines() == [
        f"stopped; continue with: {shlex.join(['isavae', *words])}"
    ]


@pytest.mark.parametrize("number", HANDLERS)
def test_training_takes_its_last_step_first(number):
    with _stopped_in_order(), interruptible() as stopped:
        assert not stopped()
        signal.raise_signal(number)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_a_closed_terminal_is_ignored_where_nohup_says_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _stopped_in_order():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


ENDING = """
import atexit, time
from isavae.__main__ import main
atexit.register(lambda: (print("ending", flush=True), time.sleep(1)))
main()
"""


@pytest.mark.parametrize("number", HANDLERS)
def test_a_signal_after_its_end_does_not_change_what_a_command_says(number):
    with subprocess.Popen(
        [sys.executable, "-c", ENDING, "--version"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.stdout.readline() != "ending\n":
            assert process.poll() is None
        process.send_signal(number)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


INTERRUPTED = """
import signal, time, weakref
from isavae.cli.command_line import VERBS
from isavae.__main__ import main

def within_exec():
    exec("raise KeyboardInterrupt")

def within_a_callback():
    class Gone: pass
    gone = Gone()
    weak = weakref.ref(gone, lambda _: signal.raise_signal(signal.SIGTERM))
    del gone
    time.sleep(60)

type(VERBS["data list"]).load = lambda verb: {where}
main()
"""


@pytest.mark.parametrize("where", ["within_exec", "within_a_callback"])
def test_an_interrupt_anywhere_ends_with_the_code_of_the_others(where, tmp_path):
    """Python keeps that within `exec` for later, and drops that within a callback."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED.replace("{where}", where))
    command = [sys.executable, "-m", "interrupted", "data", "list"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ended = subprocess.run(command, env=environment, check=False, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 130
    assert ended.stderr.count("\n") == 1


CLOSED = """
import os, sys
from isavae.cli import main
main(["--version"])
here = all(os.path.samestat(os.fstat(n), os.stat(os.devnull)) for n in range(3))
code = "import os; [os.fstat(n) for n in range(3)]"
there = os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code)
open(sys.argv[1], "w").write(f"{here} {there} {sys.stdin and sys.stdout and sys.stderr and 'all'}")
"""


def test_closed_streams_are_open_here_and_in_processes_that_are_started(tmp_path):
    (tmp_path / "closed.py").write_text(CLOSED)
    command = [sys.executable, tmp_path / "closed.py", tmp_path / "said"]
    subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command], check=True, env=os.environ)
    assert (tmp_path / "said").read_text() == "True 0 all"


@pytest.mark.parametrize("words", [["--help"], ["data", "list"], ["train", "--help"]])
@pytest.mark.parametrize("where", ["a full disk", "a pipe without a reader"])
def test_output_that_goes_nowhere_is_one_sentence_or_none(words, where):
    if where == "a full disk":
        if not os.path.exists("/dev/full"):
            pytest.skip("needs /dev/full")
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, output = os.pipe()
        os.close(reader)
    command = [sys.executable, "-m", "isavae", *words]
    ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    os.close(output)
    if where == "a full disk":
        (line,) = ended.stderr.splitlines()
        assert "must find space" in line
        assert ended.returncode == 2
    else:
        assert ended.stderr == ""
        assert ended.returncode == 141
