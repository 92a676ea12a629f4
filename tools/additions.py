"""Bring the diffs of docs/project/additions.md up to date.

    python -m tools.additions

A diff applies only where its context stands in the file as it says. Here the place is found by
likeness, and the context is rewritten as it stands now. What a diff removes must stand there as it
is: where it does not, an error says what to mend by hand.
"""

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "project" / "additions.md"
HUNK = re.compile(r"@@ -(\d+),?(\d*) \+(\d+),?(\d*) @@(.*)")
# A place where the lines are less alike than this on average is another place.
LEAST_LIKENESS = 0.6


def refreshed(page: str, read: Callable[[str], list[str]]) -> str:
    """The page with every diff as it applies now.

    Args:
        page: The text of the page.
        read: Gives the lines of a file by its path in the repository.

    Raises:
        ValueError: If a hunk has no place any more.
    """
    blocks = r"(?<=^```diff\n)(.*?)(?=^```)"
    return re.sub(blocks, lambda m: _diff(m[1], read), page, flags=re.MULTILINE | re.DOTALL)


def _diff(diff: str, read: Callable[[str], list[str]]) -> str:
    files = re.split(r"(?=^diff --git )", diff, flags=re.MULTILINE)
    return "".join(text if "--- /dev/null" in text else _file(text, read) for text in files)


def _file(text: str, read: Callable[[str], list[str]]) -> str:
    """The hunks of one file, in order, with their places and their context."""
    head, *hunks = re.split(r"(?=^@@ )", text, flags=re.MULTILINE)
    if not hunks:
        return text
    path = head.split("+++ b/")[1].strip()
    lines, parts, after, shift = read(path), [head], 0, 0
    for hunk in hunks:
        first, *body = hunk.splitlines()
        old = [line for line in body if not line.startswith("+")]
        start = _place(old, lines, after, int(HUNK.match(first)[1]) - 1)
        if start is None:
            raise ValueError(f"{path} must hold the lines of {first}; mend this diff by hand")
        after = start + len(old)
        added = sum(line.startswith("+") for line in body)
        kept = sum(line.startswith(" ") for line in body)
        sizes = f"-{start + 1},{len(old)} +{start + 1 + shift},{kept + added}"
        parts.append(f"@@ {sizes} @@{HUNK.match(first)[5]}\n")
        now = iter(lines[start:after])
        for line in body:
            parts.append(line if line.startswith("+") else line[0] + next(now))
            parts.append("\n")
        shift += kept + added - len(old)
    return "".join(parts)


def _place(old: list[str], lines: list[str], after: int, near: int) -> int | None:
    """The index of the lines most like those of a hunk; of equals, the nearest to its own."""

    def likeness(start: int) -> float:
        pairs = list(zip(old, lines[start : start + len(old)], strict=True))
        if any(was[0] == "-" and was[1:] != now for was, now in pairs):
            return 0.0
        return sum(
            was[1:] == now or SequenceMatcher(None, was[1:], now).ratio() for was, now in pairs
        ) / len(old)

    starts = range(after, len(lines) - len(old) + 1)
    best = max(starts, key=lambda start: (likeness(start), -abs(start - near)), default=None)
    return best if best is not None and likeness(best) >= LEAST_LIKENESS else None


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    made = refreshed(text, lambda path: (ROOT / path).read_text(encoding="utf-8").splitlines())
    PAGE.write_text(made, encoding="utf-8")
    print(
        f"{PAGE.relative_to(ROOT)} {'is unchanged' if made == text else 'was brought up to date'}"
    )
