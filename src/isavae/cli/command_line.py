"""Find the command, import it, parse its flags; report bad input in one line with exit code 2."""

import errno
import inspect
import os
import re
import select
import shutil
import signal
import sys
import textwrap
import threading
import warnings
from _thread import interrupt_main
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from difflib import get_close_matches
from functools import partial, wraps
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import Any, NamedTuple

from isavae import __version__
from isavae.cli.terminal import complain, say
from isavae.errors import missing_package, printable


class Verb(NamedTuple):
    """A command: its function as "module:function", and its line in the overview."""

    function: str
    summary: str

    def load(self) -> Callable[..., int | None]:
        """The function; its signature and docstring are the flags and their help."""
        module, name = self.function.split(":")
        function = getattr(import_module(f"isavae.cli.{module}"), name)
        # tyro would keep the line breaks within the description of an argument. Where functions are
        # wrapped, as type checks do in tests, it reads the docstring of what is wrapped.
        written = inspect.unwrap(function)
        written.__doc__ = re.sub(r"\n {8,}(?=\S)", " ", inspect.cleandoc(written.__doc__ or ""))
        return function


VERBS = {
    "train": Verb("training:train", "train a VAE on a data set, or resume"),
    "evaluate": Verb("evaluation:evaluate", "score a trained run"),
    "figure latents": Verb("figures:latents", "draw the mean of each latent over the factors"),
    "figure traversals": Verb("figures:traversals", "draw decoded traversals of each latent"),
    "figure reconstructions": Verb("figures:reconstructions", "draw images and reconstructions"),
    "figure": Verb("figures:figure", "draw a figure of the paper by its number, or all"),
    "toy fa": Verb("figures:fa", "draw the factor analysis of Appendix B"),
    "toy ica": Verb("figures:ica", "draw the over-complete ICA of Appendix B, Fig. 1"),
    "explore": Verb("explore:explore", "explore a run, a model or a study in the browser"),
    "study run": Verb("studies:run", "run or continue a study"),
    "study plan": Verb("study_plan:show_plan", "estimate the time and disk space of a study"),
    "study status": Verb("studies:status", "show the state of a study"),
    "study results": Verb("studies:show_results", "show scores by model and beta"),
    "study select": Verb("studies:select", "choose a run, with or without labels"),
    "study report": Verb("figures:report", "write a study as one HTML page"),
    "study stop": Verb("studies:stop", "stop all work on a study after a checkpoint"),
    "data list": Verb("data:list_", "list the data sets, and which are in the cache"),
    "data draw": Verb("data:draw", "draw a data set into the cache"),
    "data download": Verb("data:download", "download a published data set and import it"),
    "data import": Verb("data:import_", "import a published file from disk"),
    "data verify": Verb("data:verify", "compare published dSprites with the drawn images"),
    "data inspect": Verb("data:inspect", "describe a folder or file of your own images"),
    "fit": Verb("fit:fit", "find latent axes in your images, without labels"),
    "name-axes": Verb("naming:name_axes", "give names to latents, or show them"),
    "encode": Verb("sharing:encode", "write the codes of images"),
    "decode": Verb("sharing:decode", "decode a table of codes to images"),
    "sample": Verb("sharing:sample", "decode samples of the prior to images"),
    "export": Verb("sharing:export", "write a model as one file, a folder or ONNX"),
    "push": Verb("sharing:push", "upload a model to the Hugging Face Hub"),
    "gpu-check": Verb("gpu_check:gpu_check", "test a GPU, time training on it, run Table 1"),
    "demo": Verb("demo:demo", "train and evaluate an ISA-VAE on dSprites in minutes"),
}


EXIT_CODES = """exit codes:
  0    done
  1    runs of a study failed, or isavae itself did, with a traceback
  2    bad input, a missing file or package, a full disk
  130  stopped by Ctrl-C or a signal
  141  what reads the output, such as head, has ended"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after `isavae`; by default those of the process.

    Returns:
        The exit code, see `EXIT_CODES`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = _verb_name(words)
    prog = f"isavae {name}" if name else "isavae"
    try:
        _prepare_streams()
        _let_threads_sleep()
        code = _run(name, prog, words)
        sys.stdout.flush()  # where a sentence can still be said
        return code
    except KeyboardInterrupt:
        complain(f"{prog}: stopped; the same command starts again or resumes")
        return 130
    except (ValueError, ArithmeticError, OSError, ImportError) as error:
        if os.environ.get("ISAVAE_DEBUG"):
            raise
        unread = _is_of_output(error) and _reader_has_gone()
        if not unread:
            complain(f"{prog}: {_sentence(error)}")
        if _is_of_output(error):  # the end of the process would try to write it again
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141 if unread else 2


def _run(name: str | None, prog: str, words: list[str]) -> int:
    """Run a command, or show the overview if there is none of that name; return the exit code."""
    if name is None:
        return _overview(words)
    flags = words[len(name.split()) :]
    try:
        with _stopped_in_order(), warnings.catch_warnings():
            warnings.showwarning = lambda said, *_, **__: complain(f"{prog}: {said}")
            return _parsed(VERBS[name].load(), flags, prog)() or 0
    except SystemExit as end:  # tyro has printed its help or its error
        return int(end.code or 0)


def _parsed(
    function: Callable[..., int | None], flags: list[str], prog: str
) -> Callable[[], int | None]:
    """A command with the values of its flags.

    Raises:
        SystemExit: If the flags are wrong, or ask for help; tyro has printed it.
    """
    import tyro

    form = (tyro.conf.PositionalMetavarFromFieldName,)
    bound = wraps(function)(lambda *given, **named: partial(function, *given, **named))
    parse = partial(
        tyro.cli, bound, args=flags, prog=prog, config=form, description=_described(function)
    )
    shown, said = _Help(sys.stdout.isatty(), sys.stdout.encoding), StringIO()
    # What tyro says of flags shows them as they are, so those that move the cursor are escaped.
    harmless = all(printable(flag) == flag for flag in flags)
    try:
        with redirect_stdout(shown), redirect_stderr(sys.stderr if harmless else said):
            return parse()
    except SystemExit:
        if shown.getvalue():
            sys.stdout.write(_with_broken_usage(shown.getvalue()))
        if said.getvalue():
            complain(said.getvalue().rstrip())
        raise


class _Help(StringIO):
    """What tyro prints as help. Its colours and frames depend on the stream to which it goes."""

    def __init__(self, on_terminal: bool, encoding: str | None):
        super().__init__()
        self._on_terminal, self._encoding = on_terminal, encoding

    def isatty(self) -> bool:
        return self._on_terminal

    @property
    def encoding(self) -> str | None:  # pyrefly: ignore[bad-override]
        return self._encoding


def _with_broken_usage(text: str) -> str:
    """A help text whose first line, the usage, is broken before flags where it is too long."""
    usage, rest = text.split("\n", 1)
    width = shutil.get_terminal_size().columns
    plain = re.sub(r"\x1b\[[0-9;]*m", "", usage)  # colours count as letters for textwrap
    kept = re.sub(r" (?!\[-)", "\xa0", plain)  # at which textwrap does not break
    lines = textwrap.wrap(kept, width, subsequent_indent=" " * 7, break_on_hyphens=False)
    return "\n".join([*lines, rest]).replace("\xa0", " ")


def _described(function: Callable[..., object]) -> str:
    """What a command does, from its docstring, in lines that fit the terminal.

    tyro breaks no line of it, and joins those that begin with a letter.
    """
    import docstring_parser

    text = docstring_parser.parse(function.__doc__ or "")
    paragraphs = f"{text.short_description}\n\n{text.long_description or ''}".strip().split("\n\n")
    width = shutil.get_terminal_size().columns
    return "\n\n".join(textwrap.fill(p, width, subsequent_indent="  ") for p in paragraphs)


def _let_threads_sleep() -> None:
    """Let torch's threads sleep soon while they wait for each other, unless the user decides.

    By default they keep their cores busy for milliseconds: beside other programs a step then takes
    up to fifty times as long. An idle machine is as fast with either.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ["GOMP_SPINCOUNT"] = "1000"  # read when torch is imported


def _prepare_streams() -> None:
    """Give input, output and errors a place where the shell has closed them; let any path be shown.

    Otherwise the next files that are opened would take their numbers, here and in the processes
    that are started, and with them what torch prints.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode))  # noqa: SIM115
        if isinstance(stream := getattr(sys, name), TextIOWrapper) and number:
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """End on SIGTERM and on a closed terminal (SIGHUP) as on an interrupt, for this block.

    Otherwise temporary files would remain. `nohup` still keeps SIGHUP away. An interrupt that
    Python drops with a message, as in the callback of a weak reference, comes again.
    """
    if threading.current_thread() is not threading.main_thread():  # it may set no handlers
        yield
        return
    handlers: dict[int, Any] = {signal.SIGTERM: signal.default_int_handler}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handlers[signal.SIGHUP] = lambda *_: signal.raise_signal(signal.SIGTERM)
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    hook, sys.unraisablehook = sys.unraisablehook, partial(_interrupt_again, sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt_again(usual: Callable[[Any], None], dropped: Any) -> None:
    """Interrupt the main thread once more if what Python has dropped is an interrupt."""
    if dropped.exc_type is not KeyboardInterrupt:
        usual(dropped)
        return
    again = threading.Timer(0.01, interrupt_main)  # not here, where it would be dropped, too
    again.daemon = True
    again.start()


def _sentence(error: Exception) -> str:
    # fsspec reports a missing s3fs by an ImportError of its own.
    for missing in (error, error.__cause__):
        if isinstance(missing, ModuleNotFoundError) and missing.name:
            return missing_package(missing.name)
    if _is_of_output(error):
        return f"what is printed must find space; it found none ({error})"
    if isinstance(error, PermissionError) and error.filename is not None:
        return (
            f"{os.fsdecode(error.filename)} must be open to this user, but is not "
            f"({error.strerror}): change its permissions or those of its folder, or name another"
        )
    return str(error)


def _is_of_output(error: Exception) -> bool:
    """Whether an error comes from printing; one from a file names the file."""
    lost = (errno.EPIPE, errno.ENOSPC)
    return isinstance(error, OSError) and error.errno in lost and error.filename is None


def _reader_has_gone() -> bool:
    """Whether the standard output is a pipe whose reader has ended, such as `head`."""
    if not hasattr(select, "poll"):
        return False
    output = select.poll()
    output.register(1, 0)
    return bool(output.poll(0))


def _verb_name(words: list[str]) -> str | None:
    """The longest command that the words begin with."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in VERBS:
            return name
    return None


def _overview(words: list[str]) -> int:
    """Print all commands or those of a group; report an unknown word."""
    group = words[0] if words and not words[0].startswith("-") else ""
    listed = {n: verb for n, verb in VERBS.items() if not group or n.split()[0] == group}
    if words in (["--version"], ["-V"]):
        say(f"isavae {__version__}")
        return 0
    if words[:1] == ["--completion"]:
        return _print_completion(words[1:])
    asked = words[1:] if group else words
    if listed and set(asked) <= {"-h", "--help"}:
        say(_table(listed))
        return 0
    typed = " ".join(words)
    near = get_close_matches(typed, VERBS) or get_close_matches(words[0], VERBS)
    hint = f"did you mean {' or '.join(near)}?" if near else "see isavae --help"
    complain(f"isavae: {typed!r} is not a command; {hint}")
    return 2


def _print_completion(words: list[str]) -> int:
    """Print the script that completes commands and flags in a shell."""
    from isavae.cli.completion import print_completion

    if len(words) != 1:
        raise ValueError("--completion takes one shell: bash, zsh or fish")
    print_completion(words[0], {name: verb.load() for name, verb in VERBS.items()})
    return 0


def _table(verbs: dict[str, Verb]) -> str:
    width = max(len(name) for name in verbs)
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in verbs.items()]
    about = "Train, score and explore variational autoencoders with Lp-nested priors."
    head = f"usage: isavae COMMAND [FLAGS]\n\n{about}\n\ncommands:"
    more = "isavae COMMAND --help explains a command's flags."
    completion = "isavae --completion SHELL completes them in bash, zsh or fish."
    return "\n".join([head, *lines, "", more, completion, "", EXIT_CODES])
