"""The command line: one verb is one library call, imported only when it is used."""

from isavae.cli.command_line import main, program

__all__ = ["main", "program"]
