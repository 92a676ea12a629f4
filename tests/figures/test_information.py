"""The matrix of mutual information says what the numbers say."""

import pytest

from isavae.figures import encode, information_matrix
from isavae.metrics import exact_information, subspace_information
from tests import hand_made


def test_numbers_frames_and_names_are_those_of_the_matrix():
    information = exact_information(hand_made.perfect())
    figure = information_matrix(information, [slice(0, 2), slice(2, 5)])
    axes = figure.axes[0]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "1.10", (1, 1): "1.39", (2, 2): "1.61"}  # log 3, log 4, log 5
    frames = [patch.get_xy() for patch in axes.patches]
    assert frames == [(-0.5, -0.5), (0.5, 0.5), (1.5, 1.5)]
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert len(axes.get_yticklabels()) == 5
    assert encode(figure).startswith(b"\x89PNG")


def test_subspaces_can_be_rows():
    information = subspace_information(hand_made.split(), [[0, 1], [2]], samples=50)
    figure = information_matrix(information, names=["first", "second"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["first", "second"]
    with pytest.raises(ValueError, match="as many names"):
        information_matrix(information, names=["first"])
    figure = information_matrix(information, names=["costs $1 or $2", "second"])
    assert figure.axes[0].get_yticklabels()[0].get_text() == r"costs \$1 or \$2"
    assert encode(figure)
