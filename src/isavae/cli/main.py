"""Find the verb, import it, parse its flags, and turn bad input into one line and exit code 2."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NamedTuple

from isavae import __version__


class Verb(NamedTuple):
    """Where a verb's function is, as "module:function", and its line in the overview."""

    function: str
    summary: str

    def load(self) -> Callable[..., int | None]:
        """The function: its signature is the verb's flags, its docstring their help."""
        module, name = self.function.split(":")
        return getattr(import_module(f"isavae.cli.{module}"), name)


VERBS = {
    "train": Verb("training:train", "train a VAE on a data set, or resume"),
    "evaluate": Verb("evaluation:evaluate", "score a trained run"),
    "figure latents": Verb("figures:latents", "what each latent of a run follows"),
    "figure traversals": Verb("figures:traversals", "decoded sweeps along each latent"),
    "figure reconstructions": Verb("figures:reconstructions", "images and their reconstructions"),
    "figure": Verb("paper:figure", "a figure of the paper by its number, or all"),
    "toy fa": Verb("paper:fa", "factor analysis of Appendix B: what beta does, exactly"),
    "toy ica": Verb("paper:ica", "over-complete ICA of Appendix B, and Fig. 1"),
    "explore": Verb("explore:explore", "look at a run or a study in the browser, and touch it"),
    "study run": Verb("studies:run", "run, or go on with, the many runs of a study"),
    "study plan": Verb("study_plan:show_plan", "how long a study will take, and how much disk"),
    "study status": Verb("studies:status", "how far a study is"),
    "study results": Verb("studies:show_results", "scores by model and beta"),
    "study select": Verb("studies:select", "choose a run, with or without labels"),
    "study report": Verb("paper:report", "a study as one HTML page"),
    "study stop": Verb("studies:stop", "checkpoint and end all work on a study"),
    "data list": Verb("data:list_", "the data sets, and what is present"),
    "data draw": Verb("data:draw", "draw a data set into the cache"),
    "data download": Verb("data:download", "fetch a published data set, and import it"),
    "data import": Verb("data:import_", "import a published file that you have"),
    "data verify": Verb("data:verify", "the published dSprites file against the drawn images"),
    "data inspect": Verb("data:inspect", "what a folder or file of your own images holds"),
    "fit": Verb("fit:fit", "latent axes in a folder of your pictures"),
    "encode": Verb("sharing:encode", "a folder of pictures to codes"),
    "decode": Verb("sharing:decode", "codes to pictures"),
    "sample": Verb("sharing:sample", "pictures that a model makes up"),
    "export": Verb("sharing:export", "a model as one file, or as ONNX"),
    "push": Verb("sharing:push", "a model to the Hugging Face Hub"),
    "demo": Verb("demo:demo", "an ISA-VAE on dSprites in minutes"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the words after `isavae`; those of the process if left out.

    Returns:
        The exit code: 0, or 2 for bad input, or 130 when interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = _verb_name(words)
    if name is None:
        return _overview(words)
    try:
        import tyro

        flags = words[len(name.split()) :]
        with warnings.catch_warnings():
            warnings.showwarning = lambda said, *_, **__: print(
                f"isavae {name}: {said}", file=sys.stderr
            )
            return tyro.cli(VERBS[name].load(), args=flags, prog=f"isavae {name}") or 0
    except SystemExit as end:  # tyro has printed its help or its complaint
        return int(end.code or 0)
    except KeyboardInterrupt:
        return 130
    except (ValueError, ArithmeticError, OSError, ImportError) as error:
        if os.environ.get("ISAVAE_DEBUG"):
            raise
        print(f"isavae {name}: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"this needs the package {error.name!r}: pip install 'isavae[all]'"
    return str(error)


def _verb_name(words: list[str]) -> str | None:
    """The longest verb that the words begin with."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in VERBS:
            return name
    return None


def _overview(words: list[str]) -> int:
    """Print the verbs, all or those of a group; complain about a word that is none."""
    group = words[0] if words and not words[0].startswith("-") else ""
    listed = {n: verb for n, verb in VERBS.items() if not group or n.split()[0] == group}
    if words in (["--version"], ["-V"]):
        print(f"isavae {__version__}")
        return 0
    asked = words[1:] if group else words
    if listed and set(asked) <= {"-h", "--help"}:
        print(_table(listed))
        return 0
    spoken = " ".join(words)
    near = get_close_matches(spoken, VERBS) or get_close_matches(words[0], VERBS)
    hint = f"did you mean {' or '.join(near)}?" if near else "see isavae --help"
    print(f"isavae: {spoken!r} is no command; {hint}", file=sys.stderr)
    return 2


def _table(verbs: dict[str, Verb]) -> str:
    width = max(len(name) for name in verbs)
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in verbs.items()]
    head = "usage: isavae COMMAND [FLAGS]\n\nLatent variables that mean something.\n\ncommands:"
    return "\n".join([head, *lines, "", "isavae COMMAND --help explains a command's flags."])
