"""What a command says when it is interrupted."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from isavae.cli.terminal import say


@contextmanager
def telling_how_to_continue(command: Sequence[str]) -> Iterator[None]:
    """End with exit code 130 on an interrupt, and say which command goes on."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped; continue with: {shlex.join(command)}")
        raise SystemExit(130) from None
