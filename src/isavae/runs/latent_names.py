"""Names that a user gives to latents, "slant" instead of "z5": what may be one."""

import re
from collections.abc import Mapping

from isavae.errors import shown

LONGEST = 40
# A latent without a name of the user's, counted from 1.
_NUMBERED = re.compile(r"z([1-9][0-9]{0,5})")
# The first column of a table of codes, and what the columns of standard deviations end with.
TAKEN, STD = "image", "_std"


def check_names(given: Mapping[str, str], latents: int) -> dict[str, str]:
    """Names by the latents' own ones, "z5"; what is empty or that itself is no name.

    Args:
        given: Names such as {"z5": "slant"}.
        latents: The number of latents.

    Raises:
        ValueError: If there is no such latent, or a name could be mistaken for something else.

    Examples:
        >>> check_names({"z2": " slant ", "z1": ""}, 2)
        {'z2': 'slant'}
    """
    found = {}
    for latent, text in given.items():
        number = _NUMBERED.fullmatch(latent)
        if not number or int(number[1]) > latents:
            raise ValueError(f"a latent must be one of z1 to z{latents}; got {shown(latent)}")
        if (name := text.strip()) not in ("", latent):
            found[latent] = _check_name(name)
    columns = [TAKEN, *(name + end for name in found.values() for end in ("", STD))]
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise ValueError(
            "names must differ from each other, from `image` and from another name with `_std`, "
            f"which are columns of tables of codes; got {twice!r} twice: choose another one"
        )
    return found


def _check_name(name: str) -> str:
    if len(name) > LONGEST or not name.isprintable():
        raise ValueError(
            f"a name must be one line of at most {LONGEST} characters; got {shown(name)}"
        )
    if _NUMBERED.fullmatch(name.removesuffix(STD)):
        raise ValueError(
            f"a name must not be that of a latent by number; got {name!r}: choose another one"
        )
    return name


def all_names(given: Mapping[str, str], latents: int) -> list[str]:
    """The name of every latent: the user's, or else "z5".

    >>> all_names({"z2": "slant"}, 3)
    ['z1', 'slant', 'z3']
    """
    return [given.get(f"z{k}", f"z{k}") for k in range(1, latents + 1)]
