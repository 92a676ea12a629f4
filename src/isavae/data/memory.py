"""How much memory is free, and from which size on a data set is shuffled in blocks."""

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup/memory.max")  # what a container may use at most
UNKNOWN = 8 << 30  # bytes, where the platform does not tell


def memory_limit() -> int:
    """Bytes from which on images are shuffled in blocks.

    `ISAVAE_MEMORY_LIMIT`, or half of the memory that is free now.

    Raises:
        ValueError: If the variable is not a number.
    """
    if chosen := os.environ.get("ISAVAE_MEMORY_LIMIT"):
        if not chosen.isdecimal():
            raise ValueError(f"ISAVAE_MEMORY_LIMIT must be a number of bytes, but is {chosen!r}.")
        return int(chosen)
    return free_memory() // 2


def free_memory() -> int:
    """Bytes that can be had without swapping; all memory where only that is told (macOS)."""
    for told in (_meminfo, _pages):
        try:
            free = told()
        except (OSError, AttributeError, ValueError, LookupError):  # not on this platform
            continue
        return min(free, _container() or free)
    return UNKNOWN


def _meminfo() -> int:
    """Linux: free pages, and those of files that can be dropped, in KiB."""
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0])


def _pages() -> int:
    names = ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES")
    known = next(name for name in names if name in os.sysconf_names)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf(known)


def _container() -> int | None:
    try:
        return int(CGROUP.read_text())
    except (OSError, ValueError):  # none, or "max"
        return None
