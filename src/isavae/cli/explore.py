"""`isavae explore`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional

from isavae.cli.flag_kinds import Optionally
from isavae.explorer import serve


def explore(
    path: Positional[Path],
    host: str = "127.0.0.1",
    port: int = 0,
    data: Optionally[str] = None,
    no_browser: Annotated[bool, FlagCreatePairsOff] = False,
) -> None:
    """Explore the latent space of a run, a model or a study in the browser.

    Args:
        path: A run directory, a model file (.safetensors), a folder of `isavae fit` or a study
            directory.
        host: The address to listen on; any but that of this machine admits other machines.
        port: The port to listen on; 0 takes a free one.
        data: A data set, a folder of images, an array file or a folder of `isavae fit` to use
            instead of the images that the model was trained on.
        no_browser: Print the URL without opening it.
    """
    serve(path, host=host, port=port, browser=not no_browser, data=data)
