"""Where a proxy or a tunnel shows the page: below which path, and under which names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from starlette.types import Scope

_PATH = re.compile(r"(/[A-Za-z0-9._~@%+-]+)*")
_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


@final
@dataclass(frozen=True)
class Behind:
    """What stands between the browser and the server.

    Attributes:
        base: The path below which the page is shown, without a slash at its end; "" for none.
        hosts: Host headers of its requests, in small letters.
    """

    base: str = ""
    hosts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, base: str, hosts: Sequence[str]) -> "Behind":
        """From what a user types.

        Raises:
            ValueError: If the path or a host is none.

        Examples:
            >>> Behind.parse("/user/me/proxy/8000/", ["Hub.example.org", "localhost:9000"])
            Behind(base='/user/me/proxy/8000', hosts=('hub.example.org', 'localhost:9000'))
        """
        path = base.rstrip("/")
        if not _PATH.fullmatch(path) or {".", ".."} & {*path.split("/")}:
            raise ValueError(
                f"a base path must be the path of an address, such as /proxy/8000; got {base!r}"
            )
        small = tuple(host.lower() for host in hosts)
        for given, host in zip(hosts, small, strict=True):
            if not _HOST.fullmatch(host):
                raise ValueError(
                    "a host must be a name or an address with or without a port, as the browser "
                    f"shows it, such as hub.example.org or localhost:9000; got {given!r}"
                )
        return cls(path, small)

    def below(self, scope: Scope) -> Scope:
        """The request of a proxy that does not take the base path away itself, without it."""
        path = scope["path"]
        if not self.base or not path.startswith(f"{self.base}/"):
            return scope
        return {**scope, "path": path.removeprefix(self.base)}


NOTHING_BETWEEN = Behind()
