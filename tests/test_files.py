import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from isavae.files import (
    atomic_write,
    is_temporary,
    read_json,
    read_text,
    write_json,
    write_text,
)

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
    assert read_text(path) == text
    written = path.read_bytes()
    for at in range(len(written)):
        path.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
        try:
            found = read_text(path)
        except ValueError:
            continue
        # Without its name a checksum is a comment.
        assert found.endswith("\n" + text)
    path.write_text(text, encoding="utf-8")
    assert read_text(path) == text
