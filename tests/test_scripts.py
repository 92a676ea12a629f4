"""Local runs from every kind of script: those without a guard, from standard input, from -c."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isavae.studies.forking import fork_server, start
from tests.study_runs import tiny_study

pytestmark = pytest.mark.system

STUDY = f"""
from pathlib import Path
from isavae.studies import Study, StudyDirectory
from isavae.studies import run_study
from isavae.studies import LocalEngine

print("begun", flush=True)
study = Study.parse({tiny_study(20).text!r})
progress = run_study(study, StudyDirectory(Path("out")), LocalEngine(2))
print(progress.done, "done,", len(progress.failed), "failed")
"""
GUARDED = (
    "def work():\n    "
    + STUDY.replace("\n", "\n    ")
    + """
if __name__ == "__main__":
    work()
"""
)
FIT = """
from pathlib import Path
from PIL import Image
from isavae.data import load
from isavae.fitting import fit

print("begun", flush=True)
hearts = load("dsprites16[shape=heart, scale=5, orientation=0]").sample(60)
Path("images").mkdir()
for i, image in enumerate(hearts.batch(range(60))):
    Image.fromarray((255 * image[0]).byte().numpy()).save(f"images/{i}.png")
fitted = fit(
    Path("images"), Path("out"), size=16, steps=200, workers=2, seeds=2, beta=(2.0,),
    prior="2.1[6*2]",
)
print(len(fitted.candidates), "candidates")
"""


def run(folder: Path, *words: str, **options) -> list[str]:
    """What a script says; it must end well and say nothing else."""
    ended = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300,
        env=os.environ | {"ISAVAE_CACHE": str(folder / "cache")}, **options,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(STUDY, id="without a guard"),
        pytest.param(GUARDED, id="with a guard", marks=pytest.mark.slow),
    ],
)
def test_a_script_runs_a_study_and_only_once(tmp_path, text):
    (tmp_path / "script.py").write_text(text)
    assert run(tmp_path, "script.py") == ["begun", "4 done, 0 failed"]


@pytest.mark.slow
def test_a_module_without_a_guard_runs_a_study(tmp_path):
    (tmp_path / "script.py").write_text(STUDY)
    assert run(tmp_path, "-m", "script") == ["begun", "4 done, 0 failed"]


@pytest.mark.slow
def test_a_study_runs_from_standard_input_and_from_the_command_line(tmp_path):
    assert run(tmp_path, "-", input=STUDY) == ["begun", "4 done, 0 failed"]
    assert run(tmp_path, "-c", STUDY) == ["begun", "4 done, 0 failed"]


@pytest.mark.slow
def test_a_script_without_a_guard_fits_a_folder(tmp_path):
    (tmp_path / "script.py").write_text(FIT)
    assert run(tmp_path, "script.py") == ["begun", "2 candidates"]


def test_the_script_is_as_it_was_after_processes_were_started_from_several_threads():
    main = vars(sys.modules["__main__"])
    before = dict(main)
    context = fork_server()
    processes = []
    threads = [
        threading.Thread(target=lambda: processes.append(start(context, os.getpid)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert {name: main.get(name) for name in before} == before
