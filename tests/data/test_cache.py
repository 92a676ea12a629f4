"""The cache: written whole or not at all, opened as it was written, and never trusted blindly."""

import json
import os
import threading

import numpy as np
import pytest

from isavae.data import FactorGrid, cache_folder, load
from isavae.data.cache import LENGTH, MAGIC, read, write
from isavae.data.memory import free_memory
from isavae.data.places import cache_file
from isavae.files import sealed
from tests.cache_integrity import is_intact

GRID = FactorGrid(("a", "b"), (2, 3), categories={"a": ("left", "right")}, scored=("b",))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def images(n=6):
    return np.random.default_rng(0).integers(0, 256, (n, 1, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    "grid",
    [None, GRID, GRID.take(np.array([5, 5, 0])), FactorGrid(("a",), (2,), -np.ones((6, 1), int))],
)
def test_what_was_written_is_read(folder, grid):
    pixels = images(6 if grid is None else len(grid))
    write(folder / "some", "some/1", (1, 4, 4), [pixels[:2], pixels[2:]], grid)
    data = read(folder / "some", "some/1")
    assert data.name == "some"
    assert np.array_equal(data.stored, pixels)
    assert data.grid == grid
    assert is_intact(folder / "some")
    assert [path.name for path in folder.iterdir()] == ["some"]


def test_every_way_of_cutting_or_altering_the_file_is_noticed(folder):
    write(folder / "some", "some/1", (1, 4, 4), [images()], GRID)
    whole = (folder / "some").read_bytes()
    for length in range(len(whole)):
        (folder / "some").write_bytes(whole[:length])
        assert read(folder / "some", "some/1") is None
    for longer in (whole + b" ", whole[:40] + b" " + whole[40:]):
        (folder / "some").write_bytes(longer)
        assert read(folder / "some", "some/1") is None
    (folder / "some").write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    assert not is_intact(folder / "some")
    for at in range(len(whole)):
        (folder / "some").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert read(folder / "some", "some/1") is None


def test_another_version_or_another_kind_of_file_is_not_opened(folder):
    write(folder / "some", "some/1", (1, 4, 4), [images()])
    assert read(folder / "some", "some/2") is None
    (folder / "text").write_text("not images\n" * 100)
    assert read(folder / "text") is None
    assert read(folder / "absent") is None
    assert read(folder) is None


def test_an_interrupted_write_leaves_what_was_there(folder):
    write(folder / "some", "some/1", (1, 4, 4), [images()])

    def interrupted():
        yield images()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(folder / "some", "some/2", (1, 4, 4), interrupted())
    assert read(folder / "some", "some/1") is not None
    assert [path.name for path in folder.iterdir()] == ["some"]


def test_a_broken_cache_is_drawn_again_and_a_whole_one_is_not():
    first = load("dsprites16")
    path = cache_file("dsprites16")
    written = path.stat().st_mtime_ns
    assert load("dsprites16").grid == first.grid
    assert path.stat().st_mtime_ns == written
    path.write_bytes(path.read_bytes()[:-5])
    assert np.array_equal(load("dsprites16").stored, first.stored)
    assert is_intact(path)


def test_a_file_larger_than_all_memory_is_opened(folder):
    """With a hole for pixels, where the file system has holes."""
    rows = 3 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4096
    write(folder / "some", "some/1", (1, 64, 64), [np.zeros((2, 1, 64, 64), np.uint8)])
    about = (folder / "some").read_bytes()[len(MAGIC) + 2 * 4096 : -LENGTH]
    about = json.loads(about) | {"checksum": "00000000"}
    about["stored"][0] = rows
    about = sealed(json.dumps(about).encode())
    with (folder / "some").open("r+b") as file:
        file.seek(len(MAGIC))
        file.truncate()
        file.seek(len(MAGIC) + rows * 4096)
        file.write(about + len(about).to_bytes(LENGTH, "little"))
    if (folder / "some").stat().st_blocks > 1000:
        pytest.skip("needs a TMPDIR on a file system with holes, such as ext4")
    data = read(folder / "some")
    assert len(data) == rows
    assert not data.batch([0, rows // 2, rows - 1]).any()


def test_two_may_draw_at_once():
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.append(load("dsprites16"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(drawn[0].stored, drawn[1].stored)
    assert is_intact(cache_file("dsprites16"))


def test_nothing_to_write_and_nowhere_to_write(folder):
    with pytest.raises(ValueError, match="must have images"):
        write(folder / "none", "none/1", (1, 4, 4), [])
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("")
    with pytest.raises(ValueError, match="set ISAVAE_CACHE"):
        write(folder / "file" / "some", "some/1", (1, 4, 4), [images()])


def test_without_a_home_that_can_be_written_the_folder_is_a_temporary_one(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("ISAVAE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/nobody")  # where not even root makes a folder
    monkeypatch.setattr("os.access", lambda place, mode: not str(place).startswith("/proc"))
    assert cache_folder() == tmp_path / "tmp" / f"isavae-{os.getuid()}" / "cache"
    (tmp_path / ".cache" / "isavae").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda place, mode: False)
    assert cache_folder() == tmp_path / ".cache" / "isavae", "what is there may hold data sets"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # a user that no list knows
    assert cache_folder() == tmp_path / "tmp" / f"isavae-{os.getuid()}" / "cache"


def test_the_folder_follows_the_platform(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("ISAVAE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "xdg" / "isavae"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "isavae"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "isavae"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert cache_folder() == tmp_path / "Local" / "isavae" / "Cache"


def test_data_above_the_memory_limit_are_shuffled_in_blocks(folder, monkeypatch):
    pixels = np.arange(5000, dtype=np.uint32).view(np.uint8).reshape(5000, 1, 2, 2)
    monkeypatch.setattr("isavae.data.cache.READ", 4 * 8)
    write(folder / "some", "some/1", (1, 2, 2), [pixels])
    monkeypatch.setenv("ISAVAE_MEMORY_LIMIT", "20000")
    assert read(folder / "some").shuffle_block == 1
    monkeypatch.setenv("ISAVAE_MEMORY_LIMIT", "19999")
    data = read(folder / "some")
    assert data.shuffle_block == 8
    batches = [data.minibatch(0, step, 500) for step in range(10)]
    values = np.concatenate([(batch * 255).round().byte().numpy() for batch in batches])
    numbers = values.reshape(-1, 4).view(np.uint32).ravel()
    assert np.array_equal(np.sort(numbers), np.arange(5000))
    assert abs(np.corrcoef(numbers, np.arange(5000))[0, 1]) < 0.1
    monkeypatch.setenv("ISAVAE_MEMORY_LIMIT", "half")
    with pytest.raises(ValueError, match="number of bytes, but is 'half'"):
        read(folder / "some")


def test_the_limit_is_half_of_the_free_memory_when_the_file_is_written(
    folder, monkeypatch, tmp_path
):
    """And no other when it is opened: a resumed run meets the same batches."""
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr("isavae.data.memory.MEMINFO", meminfo)
    monkeypatch.setattr("isavae.data.memory.CGROUP", tmp_path / "max")
    pixels = np.zeros((1024, 1, 2, 2), np.uint8)
    for available, block in ((8, 1), (7, 1 << 16)):
        meminfo.write_text(f"MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable:  {available} kB\n")
        write(folder / f"some{available}", "some/1", (1, 2, 2), [pixels])
        meminfo.write_text("MemAvailable: 1000 kB\n")
        assert read(folder / f"some{available}").shuffle_block == block


def test_free_memory(monkeypatch, tmp_path):
    monkeypatch.setattr("isavae.data.memory.MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr("isavae.data.memory.CGROUP", tmp_path / "max")
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 10, "SC_AVPHYS_PAGES": 7}.get)
    assert free_memory() == 70
    monkeypatch.setattr("os.sysconf_names", {"SC_PHYS_PAGES": 0})  # as on macOS
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 10, "SC_PHYS_PAGES": 9}.get)
    assert free_memory() == 90
    (tmp_path / "meminfo").write_text("MemAvailable: 2 kB\n")
    assert free_memory() == 2048
    (tmp_path / "max").write_text("max\n")
    assert free_memory() == 2048
    (tmp_path / "max").write_text("1000\n")
    assert free_memory() == 1000
    monkeypatch.delattr("os.sysconf_names")  # as on Windows
    (tmp_path / "meminfo").unlink()
    assert free_memory() == 8 << 30
