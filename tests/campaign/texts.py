"""Every reader of text and of values on what hypothesis makes up: a sentence, or what it means.

`python -m tests.campaign.texts SEED EXAMPLES` prints one line per fault, and one in the end.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from isavae.cli.fit import seconds
from isavae.data.catalog import load
from isavae.data.own.factor_table import read_factors
from isavae.data.own.value_range import parse_range
from isavae.fitting.codes_table import read_codes
from isavae.models import OBJECTIVES, build_likelihood, build_prior
from isavae.runs import Run, RunConfig, check_trainable
from isavae.runs.config import read_settings
from isavae.runs.model_file import Metadata, check_scores
from isavae.studies import Study
from tests.campaign.effort import Effort
from tests.campaign.readers import HANG_SECONDS, SENTENCES

# Characters of a sentence; it may list all settings.
LONGEST = 2000
NAMES = [*RunConfig.model_fields, "name", "runs", "seeds", "settings", "resources", "retries"]
NAMES += ["beta", "gamma", "model", "value", "standard_error", "mig", "config", "shape", "version"]
LETTERS = st.sampled_from([*"0123456789.,[]*()|:=-+eE z\n\t\"'{}#&%!><\\$/", "é", "\0"])
TEXT = st.text(LETTERS, max_size=40) | st.text(max_size=20)
WORDS = TEXT | st.sampled_from([*NAMES, *OBJECTIVES, "2.1[2.2*2, 2*2]", "bernoulli", "cpu", "isa"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
SETTINGS = st.dictionaries(st.sampled_from(NAMES) | WORDS, VALUES, max_size=5)
# What is valid but for one place.
NEARLY = st.builds(
    lambda name, value: {
        "prior": "2*2",
        "width": 8,
        "objective": {"name": "beta-vae"},
        name: value,
    },
    st.sampled_from(NAMES),
    VALUES,
)
STUDIES = st.builds(
    lambda name, value, inner: {"name": "s", "runs": [{"model": "vae", **inner}], name: value},
    st.sampled_from(NAMES),
    VALUES,
    SETTINGS,
)
FACTORS = st.lists(st.lists(TEXT, min_size=1, max_size=3).map(",".join), max_size=5).map("\n".join)


def _in_file(name: str, read: Callable[[Path], object]) -> Callable[[Any], object]:
    """A reader of files as a reader of their text."""

    def read_text(value: Any) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            text = value if isinstance(value, str) else json.dumps(value)
            path.write_bytes(text.encode(errors="surrogatepass"))
            return read(path)

    return read_text


READERS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], object]]] = {
    "settings": (SETTINGS | NEARLY, lambda value: check_trainable(RunConfig.parse(value))),
    "settings in a file": (TEXT | SETTINGS, _in_file("c.yaml", read_settings)),
    "study": (TEXT | (STUDIES | SETTINGS).map(yaml.safe_dump), Study.parse),
    "prior": (TEXT, build_prior),
    "likelihood": (WORDS, build_likelihood),
    "data": (TEXT.map(lambda text: f"dsprites16[{text}]") | TEXT, load),
    "range": (TEXT, parse_range),
    "time": (TEXT, seconds),
    "factors": (TEXT | FACTORS, _in_file("f.csv", lambda p: read_factors(p, 2, by_order=True))),
    "codes": (FACTORS, _in_file("c.csv", lambda p: read_codes(p, ["z1", "z2"]))),
    "metadata": (SETTINGS, Metadata.model_validate),
    "scores": (VALUES, lambda value: check_scores(value, Path("scores.json"))),
    "run": (SETTINGS | NEARLY, _in_file("config.json", lambda path: Run.open(path.parent))),
}


def checked(reader: Callable[[Any], object], tried: list[None]) -> Callable[[Any], None]:
    """A function that reads a value, and fails where the reader does anything but say no."""

    def check(value: Any) -> None:
        tried.append(None)
        effort, sentence = Effort(), ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader(value)
        except SENTENCES as error:
            sentence = str(error)
        assert len(sentence) < LONGEST, f"a sentence of {len(sentence):,} characters"
        assert not effort.hangs(HANG_SECONDS), "it hangs"

    return check


def main(number: int, examples: int) -> int:
    """Read what hypothesis makes up; return the number of faults."""
    faults, tried = 0, []
    share = settings(
        max_examples=max(1, examples // len(READERS)),
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    for name, (strategy, reader) in READERS.items():
        try:
            seed(number)(share(given(strategy)(checked(reader, tried))))()
        except Exception as error:
            faults += 1
            notes = " ".join(getattr(error, "__notes__", []))
            print(f"seed {number}, {name}: {error!r:.300} {notes:.600}", flush=True)
    print(f"seed {number}: {len(tried):,} texts and values, {faults} faults", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]), int(sys.argv[2]))))
