"""The flags of `isavae train`, made from `RunConfig` and the objectives' own fields.

Each setting is described where it is defined. A flag that is not given is None: it overrides
nothing.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import Field, asdict, fields, make_dataclass
from typing import Annotated, Any

from docstring_parser import parse
from tyro.conf import DisallowNone, arg

from isavae.models import OBJECTIVES
from isavae.runs import RunConfig

# Short forms of objective flags; no setting has these names.
ALIASES = {"name": ["--objective"], "beta": ["--beta"], "gamma": ["--gamma"]}


def given(flags: Any) -> dict[str, Any]:
    """The flags that were given, by name."""
    return {name: value for name, value in asdict(flags).items() if value is not None}


def _run_flags() -> type:
    """A dataclass with every setting of `RunConfig` but the objective."""
    flags = []
    for name, setting in RunConfig.model_fields.items():
        if name == "objective":
            continue
        kind: Any = setting.annotation
        optional = DisallowNone[kind | None]
        default = "" if setting.default is None else f"(default: {setting.default})"
        flags.append(_flag(name, optional, setting.description or "", default))
    return make_dataclass("RunFlags", flags, frozen=True)


def _objective_flags() -> type:
    """A dataclass with the name of an objective and the parameters of all objectives."""
    meanings: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    kinds: dict[str, Any] = {}
    for objective, made in OBJECTIVES.items():
        texts = {each.arg_name: each.description or "" for each in parse(made.__doc__ or "").params}
        for parameter in _parameters(made):
            kinds[parameter.name] = parameter.type
            text = " ".join(texts[parameter.name].split()).rstrip(".")
            default = "none" if parameter.default == () else parameter.default
            meanings[parameter.name][text[0].upper() + text[1:]].append(f"{objective} {default}")
    flags = [_flag("name", DisallowNone[str | None], f"Objective: {', '.join(OBJECTIVES)}.")]
    for name, meaning in meanings.items():
        parts = [f"{text} ({', '.join(where)})." for text, where in meaning.items()]
        # With DisallowNone a bool would be a flag without a value.
        kind = kinds[name] | None if kinds[name] is bool else DisallowNone[kinds[name] | None]
        flags.append(_flag(name, kind, " ".join(parts)))
    return make_dataclass("ObjectiveFlags", flags, frozen=True)


def _parameters(objective: Any) -> Iterable[Field]:
    return (field for field in fields(objective) if field.name != "name")


def _flag(name: str, kind: Any, text: str, hint: str = "") -> tuple[str, Any, None]:
    shown = "{True,False}" if kind == bool | None else None
    aliases = ALIASES.get(name, [])
    described = arg(help=text, help_behavior_hint=hint, aliases=aliases, metavar=shown)
    return name, Annotated[kind, described], None


RunFlags = _run_flags()
ObjectiveFlags = _objective_flags()
