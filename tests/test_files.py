import pytest

from isavae.files import atomic_write, read_json, write_json

pytestmark = pytest.mark.system


def test_an_error_in_the_block_leaves_the_previous_file_and_nothing_else(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


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
