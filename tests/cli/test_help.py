"""What the command line says of itself, shows of progress, and takes for a model on the Hub."""

import io
import re
import shutil
import subprocess

import pytest
from rich.console import Console

from isavae.cli import main, step_progress
from isavae.cli.command_line import VERBS
from isavae.cli.completion import SHELLS
from isavae.cli.study_progress import LiveProgress
from isavae.studies import StudyProgress

pytestmark = pytest.mark.system


@pytest.mark.parametrize("name", VERBS)
def test_help_names_positionals_and_real_defaults(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*name.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert "None" not in printed
    assert "(default: )" not in printed
    usage = printed.splitlines()[0].replace("[OPTIONS]", "")
    usage = re.sub(r"--\S+ (\[\w+ \[\w+ \.\.\.\]\]|\S+)", "", usage)
    assert not re.search(r"\b(STR|INT)\b", usage)


def test_a_description_of_several_lines_is_one_paragraph(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["evaluate", "--help"]) == 0
    assert '"unsupervised" or "all". Also draws information.png' in capsys.readouterr().out


@pytest.mark.parametrize("name", VERBS)
def test_help_fits_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*name.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80


def test_the_overview_lists_exit_codes(capsys):
    assert main([]) == 0
    listed = re.findall(r"^  (\d+) ", capsys.readouterr().out, re.MULTILINE)
    assert listed == ["0", "1", "2", "130", "141"]


COMPLETE = """
source {script}
COMP_WORDS=({words} "")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_tyro_isavae
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def test_bash_completes_commands_groups_and_choices(tmp_path, capsys):
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    assert main(["--completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)

    def completed(words):
        text = COMPLETE.format(script=tmp_path / "script", words=words)
        done = subprocess.run(["bash", "-c", text], check=True, capture_output=True, text=True)
        return {line.split()[0] for line in done.stdout.splitlines() if line}

    assert {"train", "study", "fit", "data"} <= completed("isavae")
    assert {"run", "plan", "results"} <= completed("isavae study")
    assert completed("isavae fit --fit") == {"crop", "pad", "stretch"}
    assert "--learn-exponents" in completed("isavae train")


def test_completion_is_for_some_shells(capsys):
    for shell in SHELLS:
        assert main(["--completion", shell]) == 0
        assert "learn-exponents" in capsys.readouterr().out
    for words in (["csh"], []):
        assert main(["--completion", *words]) == 2
        assert "bash" in capsys.readouterr().err


def test_progress_shows_the_time_left_in_80_columns(monkeypatch):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, legacy_windows=False)
    monkeypatch.setattr(step_progress, "console", lambda **_: terminal)
    values = dict.fromkeys(("loss", "reconstruction", "mutual_information", "kl"), 1234.5)
    with step_progress.StepProgress("training", units_per_step=2048) as progress:
        for step in range(1, 4):
            progress(step, 1000, values)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).split("\r")
    last = [line for line in "\n".join(lines).splitlines() if "training" in line][-1]
    assert len(last) <= 80
    assert re.search(r"\d:\d\d:\d\d|-:--:--", last)
    assert "images/s" in last
    assert "…" not in last


def test_without_a_terminal_the_last_step_is_one_line_and_percents_have_no_rate(capsys):
    with step_progress.StepProgress("training", "%") as progress:
        for step in (0, 40, 100, 100, 100):
            progress(step, 100)
    lines = capsys.readouterr().err.split("\n")  # rich before 14.3 ends with an empty one more
    assert [line for line in lines if line] == ["training: 0 %", "training: 100 %"]


def test_a_mistyped_path_is_never_looked_up_on_the_hub(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []

    def download(name, *_):
        asked.append(name)
        raise OSError("no such model")

    monkeypatch.setattr("isavae.runs.trained_model.download", download)
    for words in (["encode", "runs/frist", "x"], ["decode", "a/b", "x.csv"], ["sample", "a/b"]):
        assert main(words) == 2
        assert "hf://user/name" in capsys.readouterr().err
    for words in (["export", "a/b", "--out", "x"], ["push", "runs/frist", "me/it"]):
        assert main(words) == 2
        assert f"there is nothing at {words[1]}" in capsys.readouterr().err
    assert asked == []
    assert main(["sample", "hf://a/b"]) == 2
    assert asked == ["a/b"]


def test_a_long_command_prints_few_lines_where_there_is_no_terminal(capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with step_progress.StepProgress("training") as training, LiveProgress() as study:
        for second in range(7200):
            now[0] = 1000.0 + second
            training(second, 7200)
            study(StudyProgress(total=9, running={"a": (second, 7200)}, started=1000.0))
    lines = capsys.readouterr().err.splitlines()
    for beginning in ("training: ", "0/9 done"):
        assert 80 < len([line for line in lines if line.startswith(beginning)]) < 110
