"""Names of data sets, and choices of their factors as text."""

import pytest

from isavae.data import load
from isavae.data.catalog import parse_choices


def test_a_choice_in_brackets_opens_a_part():
    data = load("dsprites[shape=heart|square, scale=::2,orientation=0, posX=-2:]")
    assert data.grid.sizes == (2, 3, 1, 2, 32)
    assert data.grid.categories["shape"] == ("heart", "square")
    assert data.name == "dsprites[shape=heart|square, scale=::2, orientation=0, posX=-2:]"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dsprite", "did you mean dsprites"),
        ("zzz", r"must be one of dsprites.*'zzz'\.$"),
        ("dsprites[shape=hart]", "'hart'"),
        ("dsprites[sape=heart]", "must be one of"),
        ("dsprites[shape]", "factor=classes"),
        ("dsprites[scale=1, scale=2]", "once per factor"),
        ("dsprites[scale=6]", "0..5"),
        ("dsprites[scale=::0]", "step"),
        ("dsprites[", "must be one of"),
    ],
)
def test_bad_names_get_a_sentence(name, message):
    with pytest.raises(ValueError, match=message):
        load(name)


def test_parsing():
    assert parse_choices("a=1, b=x|2 ,c=1:9") == {"a": [1], "b": ["x", 2], "c": slice(1, 9)}
