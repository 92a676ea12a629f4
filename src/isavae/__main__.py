"""`python -m isavae` is `isavae`."""

from isavae.cli import program

program()
