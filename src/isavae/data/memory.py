"""Free memory, and the size from which a data set is shuffled in blocks."""

import os
from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
# The most that a container may use.
CGROUP = Path("/sys/fs/cgroup/memory.max")
# Bytes, on platforms that do not report their memory.
UNKNOWN = 8 << 30


def memory_limit() -> int:
    """The size in bytes from which images are shuffled in blocks.

    `ISAVAE_MEMORY_LIMIT`, or half of the memory that is free now.

    Raises:
        ValueError: If the variable is not a number.
    """
    if chosen := os.environ.get("ISAVAE_MEMORY_LIMIT"):
        if not chosen.isdecimal():
            raise ValueError(f"ISAVAE_MEMORY_LIMIT must be a number of bytes, but is {chosen!r}.")
        return int(chosen)
    return free_memory() // 2


def free_memory(device: torch.device | None = None) -> int:
    """Bytes available without swapping; all memory on platforms that report only that (macOS).

    Args:
        device: Whose memory; that of the machine unless it is a CUDA device.
    """
    if device is not None and device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    for source in (_meminfo, _pages):
        try:
            free = source()
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
