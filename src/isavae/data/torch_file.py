"""Files of `torch.save` from strangers: tensors and plain values, no larger than the file."""

import os
import pickletools
import zipfile
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

from isavae.data.safe_reading import check

# What a pickle of tensors names. torch allows more, some of which takes any memory: `bytearray`.
STORAGES = ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double")
NAMES = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}
NAMES |= {f"torch {kind}Storage" for kind in STORAGES}
# Values in a file, where one that is met again counts again: reading follows each.
MOST_PARTS = 1_000_000
# Pickles of torch's first format: a number, its version, the machine, the tensors, their keys.
PICKLES_BEFORE = 5


def read_tensors(file: BufferedReader, path: Path) -> Any:
    """What an open file holds, on the CPU.

    Args:
        file: The file, of the format of zips or of torch's first one.
        path: Its path, for messages.

    Raises:
        RefusedFileError: If it is damaged, could unpack to any size, or holds anything else.
        Exception: What pickles, zips and torch raise besides, some twenty kinds.
    """
    import torch

    if zipfile.is_zipfile(file):
        _check_stored(file, path)
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    with archive.open(name) as pickled:
                        _check_names(pickled, path)
    else:
        file.seek(0)
        for _ in range(PICKLES_BEFORE):
            _check_names(file, path)
    file.seek(0)
    found = torch.load(file, map_location="cpu", weights_only=True)
    check(_has_few_parts(found), path, f"at most {MOST_PARTS:,} values", "more")
    return found


def _check_stored(file: BufferedReader, path: Path) -> None:
    """Check that an open zip, such as torch writes, holds whole members that are not compressed.

    Raises:
        RefusedFileError: If it does not: it may be damaged, or unpack to any size.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        check(stored, path, "members that are not compressed", "compressed ones")
        size, there = sum(member.file_size for member in members), file.seek(0, os.SEEK_END)
        check(size <= there, path, f"at most {there} bytes in its members", size)
        check(archive.testzip() is None, path, "undamaged members", "a damaged one")


def _check_names(pickled: Any, path: Path) -> None:
    """Check that a pickle names what tensors need, up to its end."""
    for operation, argument, _ in pickletools.genops(pickled):
        named = argument if operation.name in ("GLOBAL", "INST") else ""
        if operation.name == "STACK_GLOBAL":
            named = "a name that is computed"
        right = named in NAMES or not named
        check(right, path, "nothing but tensors and plain values", named)


def _has_few_parts(value: object) -> bool:
    """Whether a value has few parts, and none contains itself."""
    waiting, count = [value], 0
    while waiting:
        count += 1
        if count > MOST_PARTS:
            return False
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set):
            waiting += part
    return True
