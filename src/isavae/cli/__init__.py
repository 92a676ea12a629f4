"""The command line: one verb is one library call, imported only when it is used."""

from isavae.cli.main import main

__all__ = ["main"]
