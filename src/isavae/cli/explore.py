"""`isavae explore`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional


def explore(
    path: Positional[Path],
    host: str = "127.0.0.1",
    port: int = 0,
    data: str | None = None,
    no_browser: Annotated[bool, FlagCreatePairsOff] = False,
) -> None:
    """Look at the latent space of a run, a model or a study, and touch it, in the browser.

    Args:
        path: a run directory, a model file (.safetensors) or a study directory.
        host: the address to listen on; any but this machine's own lets others in.
        port: the port to listen on; 0 takes a free one.
        data: a data set to look at instead of the one that the model was trained on.
        no_browser: print the address and do not open it.
    """
    from isavae.explorer import serve

    serve(path, host=host, port=port, browser=not no_browser, data=data)
