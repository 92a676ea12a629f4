import errno
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from isavae.cli import command_line, main
from isavae.files import (
    DamagedFileError,
    FileTooLargeError,
    atomic_write,
    is_temporary,
    read_json,
    read_text,
    write_json,
    write_text,
)
from isavae.fitting.codes_table import codes_table, write_table
from isavae.metrics import Codes
from isavae.runs import Run, RunConfig, execute

pytestmark = pytest.mark.system


def test_an_error_in_the_block_leaves_the_previous_file_and_nothing_else(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_with_the_file_that_it_does_not_take(tmp_path):
    with pytest.raises(OSError, match=r"No space left .*state"), atomic_write(tmp_path / "state"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_file_gets_the_usual_permissions(tmp_path):
    with atomic_write(tmp_path / "new") as file:
        file.write(b"x")
    (tmp_path / "usual").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_json_that_cannot_be_written_leaves_the_previous_file(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"mig": 0.5})
    with pytest.raises(TypeError):
        write_json(path, {"mig": object()})
    assert read_json(path) == {"mig": 0.5}
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from isavae.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_else(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "state"], check=False)
    (left,) = tmp_path.iterdir()
    assert is_temporary(left)
    (tmp_path / ".notes~").write_text("a user's backup")
    with atomic_write(tmp_path / "state") as file:
        file.write(b"a")
        assert not left.exists()
        with atomic_write(tmp_path / ("long" * 62)) as other:
            other.write(b"b")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {".notes~", "state", "long" * 62}


def test_writers_at_once_never_take_each_other_for_killed(tmp_path):
    def write(number):
        for turn in range(50):
            with atomic_write(tmp_path / f"{number}") as file:
                file.write(b"%d" % turn)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"49"}


def test_a_changed_text_is_refused_and_one_written_by_hand_is_read(tmp_path):
    path, text = tmp_path / "study.yaml", "name: a\n# é\nseeds: 2\n"
    write_text(path, text)
    assert read_text(path, 1000) == text
    written = path.read_bytes()
    for at in range(len(written)):
        path.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
        try:
            found = read_text(path, 1000)
        except ValueError:
            continue
        # Without its name a checksum is a comment.
        assert found.endswith("\n" + text)
    path.write_text(text, encoding="utf-8")
    assert read_text(path, 1000) == text


@contextmanager
def largest_file(size):
    """Let this process write no file of more bytes."""
    resource = pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_beyond_the_limit_of_the_shell_is_named_with_the_remedy(tmp_path):
    with (
        largest_file(1000),
        pytest.raises(OSError, match=r"limit on the size .*ulimit -f") as refusal,
        atomic_write(tmp_path / "state") as file,
    ):
        file.write(bytes(100_000))
    assert refusal.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_of_codes_are_written_whole_or_not_at_all(tmp_path, suffix):
    names = [f"{k}.png" for k in range(2000)]
    codes = Codes(torch.randn(2000, 2), torch.zeros(2000, 2))
    table = codes_table(names, codes, ["z1", "z2"])
    with largest_file(2000), pytest.raises(OSError, match="ulimit -f"):
        write_table(table, tmp_path / f"codes.{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_beyond_the_limit_leaves_a_run_that_goes_on(tmp_path):
    settings = {"data": "dsprites16[shape=heart, scale=0, orientation=0]", "prior": "normal"}
    settings |= {"n_latents": 2, "width": 32, "steps": 2, "batch_size": 8}
    run = Run.create(tmp_path / "run", RunConfig.parse(settings))
    with largest_file(20_000), pytest.raises(OSError, match=r"state\.pt does not: .*ulimit -f"):
        execute(run)
    assert not run.state_path.exists()
    assert execute(run)


def test_images_of_a_fit_beyond_the_limit_are_named_in_one_sentence(tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(20):
        Image.new("L", (16, 16), 10 * k).save(folder / f"{k}.png")
    with largest_file(4000):
        assert main(["fit", str(folder), "--out", str(tmp_path / "found")]) == 2
    said = "isavae fit: a file must stay below the limit on the size of files, but "
    assert capsys.readouterr().err.startswith(f"{said}{tmp_path}/found/images.npy does not")
    assert [*(tmp_path / "found").iterdir()] == []


def test_a_json_file_is_written_as_long_as_it_is_read(tmp_path):
    path, value = tmp_path / "a.json", {"text": "x" * 500}
    write_json(path, value)
    length = path.stat().st_size
    write_json(path, value, most=length)
    assert read_json(path, length) == value
    with pytest.raises(FileTooLargeError, match=f"would have {length}: shorten"):
        write_json(path, {"text": "y" * 500}, most=length - 1)
    assert read_json(path) == value
    with pytest.raises(DamagedFileError, match=f"no more than {length - 1} bytes to be read"):
        read_json(path, length - 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_what_is_no_file_is_not_written_over(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    for path in (pipe, tmp_path, Path(os.devnull)):
        before = path.stat()
        with pytest.raises(OSError, match="choose another name"), atomic_write(path):
            pass
        assert path.stat().st_ino == before.st_ino
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_name_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"steps": 1, "steps": 2}')
    with pytest.raises(DamagedFileError, match="twice"):
        read_json(tmp_path / "a.json")


def test_a_folder_that_may_not_be_written_is_named_with_the_file(tmp_path, monkeypatch):
    def refuse(dir, **_):
        raise PermissionError(13, "Permission denied", f"{dir}/.isavae-abc~")

    target = str(tmp_path / "a.bin")
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(PermissionError) as caught, atomic_write(target):
        pass
    assert caught.value.filename == target
    assert command_line._sentence(caught.value).startswith(f"{target} must be open to this user, ")
