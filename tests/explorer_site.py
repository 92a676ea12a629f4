"""A small trained run, and a real server on a real socket, for the explorer's tests."""

import http.client
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from isavae.data import load
from isavae.evaluation import encode_all, evaluate
from isavae.explorer import build_app
from isavae.explorer.behind import NOTHING_BETWEEN, Behind
from isavae.explorer.server import build_server, listen
from isavae.runs import Run, RunConfig, execute

DATA = "dsprites16[shape=square, orientation=0, scale=1|3|5, posX=::2, posY=::2]"
SETTINGS = {"data": DATA, "prior": "2.1[2.2*2, 3*2, 2.2*2]", "steps": 300, "batch_size": 64}
SETTINGS |= {"width": 128, "learning_rate": 3e-3, "objective": {"name": "beta-vae", "beta": 0.02}}
TOKEN = "a-token-for-tests"


def train_small(path: Path, **settings) -> Run:
    """A scored run with several active latents, trained in a second or two."""
    run = Run.create(path, RunConfig.parse(SETTINGS | settings))
    images = load(run.config.data)
    execute(run, images)
    model = run.load_model()
    run.write_scores(evaluate(model, images, encode_all(model, images)))
    return run


@dataclass(frozen=True)
class Site:
    """An explorer that listens; `ask` sends one request with the token, unless told otherwise."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/?isavae-token={TOKEN}"

    def ask(self, method, path, body=None, *, token=TOKEN, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content

    def json(self, path):
        response, content = self.ask("GET", path)
        assert response.status == 200, content
        return json.loads(content)


@contextmanager
def serving(path: Path, data: str | None = None, behind: Behind = NOTHING_BETWEEN):
    """A server for `path` on a free port, until the block ends."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        app = build_app(path, TOKEN, "127.0.0.1", port, data, behind=behind)
        server = build_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Site(port)
        finally:
            server.should_exit = True
            thread.join()
