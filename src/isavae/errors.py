"""Messages in one line."""

import re
import reprlib

# Control characters but tab and line feed, and those that end a line or turn the direction of text.
_MARKS = "\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
_CONTROLS = re.compile(f"[\\x00-\\x08\\x0b-\\x1f{_MARKS}]")
_OF_LINES = re.compile(f"[\\x00-\\x1f{_MARKS}]")
# The extra that brings a module. Where several do, the one whose commands need no other package:
# tables of results are those of `report`, and scikit-learn of `metrics` brings SciPy.
_EXTRAS = {
    "PIL": "data",
    "anyio": "explore",
    "h5py": "data",
    "huggingface_hub": "hub",
    "jinja2": "report",
    "matplotlib": "report",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "polars": "report",
    "ray": "cluster",
    "requests": "data",
    "s3fs": "remote",
    "scipy": "metrics",
    "sklearn": "metrics",
    "starlette": "explore",
    "tensorboard": "track",
    "torchmetrics": "torchmetrics",
    "uvicorn": "explore",
}


def missing_package(module: str) -> str:
    """What to install where a module is missing.

    Examples:
        >>> missing_package("PIL.Image")
        "this needs the package PIL: pip install 'isavae[data]'"
        >>> missing_package("pandas")
        'this needs the package pandas: pip install pandas'
    """
    package = module.split(".")[0]
    extra = _EXTRAS.get(package)
    wanted = f"'isavae[{extra}]'" if extra else package
    return f"this needs the package {package}: pip install {wanted}"


def counted(count: int, noun: str) -> str:
    """A number of things, one of them in the singular.

    Examples:
        >>> counted(1, "image"), counted(2000, "class")
        ('1 image', '2,000 classes')
    """
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def first_line(error: BaseException) -> str:
    r"""The first line of an error's message, or its type where it has no message.

    Examples:
        >>> first_line(ValueError("sizes must match\n  at row 3")), first_line(KeyboardInterrupt())
        ('sizes must match', 'KeyboardInterrupt')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def shown(value: object, most: int = 80) -> str:
    """A value as a message shows it: cut where it is long.

    Examples:
        >>> shown("a" * 9, most=6), shown([1, 2])
        ("'aaaaa…", '[1, 2]')
    """
    text = reprlib.repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def printable(text: str) -> str:
    r"""A text for a terminal: what would move its cursor or turn its direction is escaped.

    Examples:
        >>> printable("a \x1b[31mred\u202e name\n")
        'a \\x1b[31mred\\u202e name\n'
    """
    return _CONTROLS.sub(_escape, text)


def in_line(name: str) -> str:
    r"""The name of a file in a sentence: nothing in it begins a line, as `printable` lets texts.

    Examples:
        >>> in_line("a.png\nisavae: all is well")
        'a.png\\nisavae: all is well'
    """
    return _OF_LINES.sub(_escape, name)


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def typed_line(error: BaseException) -> str:
    """The type of an error and the first line of its message.

    Examples:
        >>> typed_line(ValueError("sizes must match")), typed_line(KeyboardInterrupt())
        ('ValueError: sizes must match', 'KeyboardInterrupt')
    """
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"
