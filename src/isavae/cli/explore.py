"""`isavae explore`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional

from isavae.cli.flag_kinds import Optionally, Several
from isavae.explorer import serve


def explore(
    path: Positional[Path],
    host: str = "127.0.0.1",
    port: int = 0,
    data: Optionally[str] = None,
    no_browser: Annotated[bool, FlagCreatePairsOff] = False,
    base_path: Optionally[str] = None,
    allow_host: Several[str] = (),
) -> None:
    """Explore the latent space of a run, a model or a study in the browser.

    Args:
        path: A run directory, a model file (.safetensors), a folder of `isavae fit` or a study
            directory.
        host: The address to listen on; any other than 127.0.0.1 lets other machines in.
        port: The port to listen on; 0 takes a free one.
        data: A data set, a folder of images, an array file or a folder of `isavae fit` to use
            instead of the images that the model was trained on.
        no_browser: Print the URL without opening it.
        base_path: The path below which a proxy shows the page, such as /proxy/8000.
        allow_host: Names under which a proxy or a tunnel shows the page, as in the browser's
            address: hub.example.org, localhost:9000.
    """
    serve(
        path,
        host=host,
        port=port,
        browser=not no_browser,
        data=data,
        base_path=base_path or "",
        allow_host=allow_host,
    )
