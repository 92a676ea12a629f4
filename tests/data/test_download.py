"""Downloads from a server on the loopback address: whole, cut, redirected, wrong, absent."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from isavae.data import download
from isavae.data.official.files import PublishedFile
from isavae.data.official.transfer import ATTEMPTS, fetch

pytestmark = pytest.mark.system

CONTENT = bytes(range(256)) * 5000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Behaves by the name of the file; notes every request."""

    def do_GET(self):
        server, name = self.server, self.path.rsplit("/", 1)[1]
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        server.seen.append((name, start))
        if name == "moved" and "/elsewhere/" not in self.path:
            return self.answer(302, b"", Location="/elsewhere/moved")
        if name == "absent":
            return self.answer(404, b"no such file")
        if name == "busy" and len(server.seen) < 3:
            return self.answer(503, b"busy")
        if name == "broken":
            return self.answer(500, b"broken")
        ignores_ranges = name == "stubborn"
        body = CONTENT if ignores_ranges else CONTENT[start:]
        if start >= len(CONTENT) and not ignores_ranges:
            return self.answer(416, b"")
        cut = name in ("cut", "stubborn") and len(server.seen) < 3
        return self.answer(206 if start and not ignores_ranges else 200, body, cut=cut)

    def answer(self, status, body, cut=False, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[: 2 * len(body) // 3] if cut else body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def published(server, name, sha256=SHA256):
    return PublishedFile(name, f"http://127.0.0.1:{server.server_port}", sha256)


@pytest.mark.parametrize("name", ["whole", "moved", "busy", "cut", "stubborn"])
def test_files_arrive_whole(server, tmp_path, name):
    path = fetch(published(server, name), tmp_path, wait=lambda seconds: None)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == [name]
    requests = len(server.seen)
    fetch(published(server, name), tmp_path)
    assert len(server.seen) == requests  # what is there is not fetched again


def test_a_cut_transfer_goes_on_where_it_stopped(server, tmp_path):
    fetch(published(server, "cut"), tmp_path, wait=lambda seconds: None)
    starts = [start for _, start in server.seen]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2]


def test_an_interrupted_download_goes_on_in_the_next_run(server, tmp_path):
    (tmp_path / "whole.part").write_bytes(CONTENT[:1000])
    assert fetch(published(server, "whole"), tmp_path).read_bytes() == CONTENT
    assert server.seen == [("whole", 1000)]


def test_a_partial_file_that_is_too_long_is_given_up(server, tmp_path):
    (tmp_path / "whole.part").write_bytes(CONTENT + b"more")
    path = fetch(published(server, "whole"), tmp_path, wait=lambda seconds: None)
    assert path.read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_kept(server, tmp_path):
    wrong = "sha256:" + "0" * 64
    with pytest.raises(ValueError, match=r"must have the hash sha256:000.*was not kept") as refusal:
        fetch(published(server, "whole", wrong), tmp_path)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_absent_or_broken_gets_a_sentence(server, tmp_path):
    with pytest.raises(ValueError, match=r"/absent must be there, but its server says 404"):
        fetch(published(server, "absent"), tmp_path)
    assert len(server.seen) == 1  # asking again would not help
    waits = []
    with pytest.raises(ValueError, match=r"not in 5 attempts.*fetch http.* yourself"):
        fetch(published(server, "broken"), tmp_path, wait=waits.append)
    assert waits == [2, 4, 8, 16]
    assert len(server.seen) == 1 + ATTEMPTS


def test_nobody_listens(server, tmp_path):
    file = published(server, "whole")
    server.server_close()
    with pytest.raises(ValueError, match="must be reachable"):
        fetch(file, tmp_path, wait=lambda seconds: None)


def test_offline_says_what_to_fetch_and_where_to_put_it(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_OFFLINE", "1")
    with pytest.raises(ValueError, match=f"fetch http.*/whole yourself and put it into {tmp_path}"):
        fetch(published(server, "whole"), tmp_path)
    (tmp_path / "whole").write_bytes(CONTENT)
    assert fetch(published(server, "whole"), tmp_path).read_bytes() == CONTENT
    assert server.seen == []


def test_what_must_not_be_distributed_is_not_downloaded():
    with pytest.raises(
        ValueError, match=r"faces3d must not be distributed.*basel_face_renders\.pth"
    ):
        download("faces3d")
