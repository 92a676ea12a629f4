"""The command line: one verb is one library call, imported only when it is used."""

from isavae.cli.command_line import main

__all__ = ["main"]
