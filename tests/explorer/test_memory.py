"""The memory of a server that is asked for hours: it does not grow."""

import http.client
import itertools
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.explorer_site import train_small

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux: it reads /proc"
    ),
]
WARM, REQUESTS = 500, 2_000
MOST_GROWTH = 4 << 20  # bytes


def test_memory_is_flat_over_two_thousand_requests(tmp_path):
    run = train_small(tmp_path / "run")
    command = [sys.executable, "-m", "isavae", "explore", str(run.path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            found = re.search(r":(\d+)/\?isavae-token=(\S+)", server.stdout.readline())
            ask(found, 0, WARM)  # caches fill, and the allocator takes what it needs
            before = memory_of(server.pid)
            ask(found, WARM, WARM + REQUESTS)
            after = memory_of(server.pid)
        finally:
            server.terminate()
    assert after - before < MOST_GROWTH, f"{before:,} bytes became {after:,}"


def ask(address, start, end):
    """The requests that a visitor's page makes, in turn."""
    port, token = address.groups()
    rng = np.random.default_rng(start)
    asked = itertools.cycle(
        [
            ("POST", "/decode", rng.normal(size=(11, 6)).astype("<f4").tobytes()),
            ("POST", "/nearest?latent=1", rng.normal(size=(9, 6)).astype("<f4").tobytes()),
            ("POST", "/gif", rng.normal(size=(12, 6)).astype("<f4").tobytes()),
            ("GET", "/image?index={n}", None),
            ("GET", "/gallery?seed={n}", None),
            ("GET", "/sample?seed={n}", None),
            ("GET", "/scatter?by=posX", None),
            ("GET", "/curves?latent=0&x=posX&y=posY", None),
            ("GET", "/contours?x=0&y=1", None),
            ("GET", "", None),
        ]
    )
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)) as connection:
        for n, (method, path, body) in zip(range(start, end), asked, strict=False):
            url = f"/api/runs/run{path.format(n=n % 300)}"
            connection.request(method, url, body, {"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200, url


def memory_of(process: int) -> int:
    """Bytes that a process alone uses."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
