"""The figures of one run: what is drawn, where, and from which numbers."""

import numpy as np
import pytest
import torch

from isavae.data import FactorGrid
from isavae.figures import (
    encode,
    information_matrix,
    latent_sheet,
    orientation,
    panels,
    position_plane,
    reconstructions,
    save,
    traversal_tiles,
)
from isavae.figures.style import INK, PAGE, SHAPES, colour
from isavae.metrics import Codes, Information

SPRITES = FactorGrid(
    names=("shape", "scale", "orientation", "posX", "posY"),
    sizes=(3, 2, 5, 4, 6),
    scored=("scale", "orientation", "posX", "posY"),
    categories={"shape": ("square", "ellipse", "heart")},
)


def codes_on(grid, latents=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Codes(torch.randn(len(grid), latents, generator=generator), None, grid)


def information(*rows, factors=("scale", "orientation", "posX", "posY")):
    mutual = torch.tensor(rows)
    return Information(mutual, torch.ones(mutual.shape[1]), factors)


NATS = information([0.1, 0.0, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0], [0.5, 0.6, 0.0, 0.7])


def rows_of(figure, columns):
    return np.array(figure.axes).reshape(-1, columns)


@pytest.fixture
def sheet():
    codes = codes_on(SPRITES)
    return codes, rows_of(latent_sheet(codes, NATS), 4)


def test_sheet_sorts_latents_by_information(sheet):
    _, axes = sheet
    bars = [[bar.get_height() for bar in row[-1].patches] for row in axes]
    np.testing.assert_allclose(bars, NATS.mutual[[2, 0, 1]])
    assert [row[-1].get_xticks().tolist() for row in axes] == [[0, 1, 2, 3]] * 3
    names = [text.get_text() for text in axes[0, 0].figure.texts]
    assert names == ["$z_{3}$", "$z_{1}$", "$z_{2}$"]


def test_sheet_maps_are_means_over_the_other_factors(sheet):
    codes, axes = sheet
    full = codes.mean.double().numpy().reshape(*SPRITES.sizes, 3)
    for row, latent in enumerate((2, 0, 1)):
        drawn = axes[row, 0].images[0].get_array()
        np.testing.assert_allclose(drawn, full[..., latent].mean((0, 1, 2)).T)
        scale = axes[row, 1].lines[1].get_ydata()
        np.testing.assert_allclose(scale, full[..., latent].mean((0, 2, 3, 4)))


def test_sheet_has_one_line_a_shape_in_the_papers_colours(sheet):
    codes, axes = sheet
    full = codes.mean.double().numpy().reshape(*SPRITES.sizes, 3)
    lines = {line.get_label(): line for line in axes[0, 2].lines[1:]}
    assert {name: line.get_color() for name, line in lines.items()} == SHAPES
    for position, name in enumerate(SPRITES.categories["shape"]):
        np.testing.assert_allclose(
            lines[name].get_ydata(), full[position, ..., 2].mean((0, 2, 3)), err_msg=name
        )


def test_sheet_has_the_same_limits_in_all_rows(sheet):
    _, axes = sheet
    limits = {axes[row, 0].images[0].get_clim() for row in range(3)}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high
    assert high == max(abs(axes[row, 0].images[0].get_array()).max() for row in range(3))
    assert len({place.get_ylim() for place in axes[:, 1:3].flat}) == 1
    assert len({place.get_ylim() for place in axes[:, 3]}) == 1


def test_sheet_of_few_factors_is_narrower_than_a_page_and_its_maps_fill_their_columns(sheet):
    assert sheet[1][0, 0].figure.get_figwidth() == PAGE
    names = ("u", "v")
    nats = information(*[[0.1, 0.2]] * 3, factors=names)
    grid = FactorGrid(names, (3, 3), ordered=names)
    figure = latent_sheet(codes_on(grid), nats)
    assert figure.get_figwidth() < PAGE / 1.7
    column = figure.axes[0].get_position().width * figure.get_figwidth()
    assert 1.1 < column < 1.3


def test_sheet_tells_what_it_leaves_out():
    figure = latent_sheet(codes_on(SPRITES), NATS, rows=1)
    assert len(rows_of(figure, 4)) == 1
    assert figure.texts[-1].get_text() == "2 more latents, at most 0.2 nats with a factor"


def test_sheet_colours_a_name_by_its_subspace():
    figure = latent_sheet(codes_on(SPRITES), NATS, subspaces=(slice(0, 1), slice(1, 3)))
    shades = {text.get_text(): text.get_color() for text in figure.texts}
    assert shades == {"$z_{1}$": INK, "$z_{2}$": colour(1), "$z_{3}$": colour(1)}
    assert [text.get_text() for text in figure.legends[0].texts] == ["subspace 2"]


def test_sheet_of_a_partial_grid_leaves_absent_combinations_white():
    rows = np.array([0, 1, 5, 7])
    grid = FactorGrid(("u", "v"), (3, 3)).take(rows)
    mean = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    figure = latent_sheet(Codes(mean, None, grid), information([0.1, 0.2], factors=("u", "v")))
    drawn = np.ma.filled(np.ma.masked_invalid(figure.axes[0].images[0].get_array()), np.nan)
    expected = np.full((3, 3), np.nan)
    expected[[0, 0, 1, 2], [0, 1, 2, 1]] = [1, 2, 3, 4]
    np.testing.assert_array_equal(drawn, expected.T)


@pytest.mark.parametrize("names", [("a$\\frac$", "b$_$$"), ("$x", "$")])
def test_names_with_dollars_are_drawn_as_they_are(names):
    categories = dict.fromkeys(names, ("$\\no$", "2", "3"))
    for ordered in (names, ()):
        grid = FactorGrid(names, (3, 3), categories=categories, ordered=ordered)
        nats = information(*[[0.1, 0.2]] * 3, factors=names)
        for figure in (latent_sheet(codes_on(grid), nats), information_matrix(nats)):
            assert encode(figure, "svg")


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (FactorGrid(("a",), (7,)), [("a",)]),
        (FactorGrid(("a", "b", "c"), (2, 9, 5)), [("b", "c"), ("a",)]),
        (FactorGrid(("posX", "posY", "angle"), (4, 4, 40)), [("posX", "posY"), ("angle",)]),
        (FactorGrid(("id", "light"), (50, 11), ordered=("light",)), [("light",), ("id",)]),
        (FactorGrid(("one", "many"), (1, 3), ordered=()), [("many",)]),
    ],
)
def test_panels_of_other_grids(grid, expected):
    assert [panel.factors for panel in panels(grid)] == expected
    latent_sheet(codes_on(grid), information(*[[0.0] * len(grid.names)] * 3, factors=grid.names))


def test_sheet_of_unlabelled_or_foreign_codes_is_refused():
    with pytest.raises(ValueError, match="have none"):
        latent_sheet(Codes(torch.zeros(5, 3), None), NATS)
    with pytest.raises(ValueError, match="each of 2 latents, but got 3"):
        latent_sheet(codes_on(SPRITES, latents=2), NATS)


def test_tiles_put_each_image_in_its_place():
    pixels = torch.randint(255, (2, 3, 1, 5, 4))
    figure = reconstructions(pixels[0] / 255, pixels[1] / 255)
    sheet = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(sheet[7:12, 6:10], pixels[1, 1, 0])
    assert (sheet[5:7] == 255).all()
    assert (sheet[:, 4:6] == 255).all()


def test_traversal_tiles_lie_around_their_ticks():
    pixels = torch.randint(256, (2, 3, 3, 5, 5))
    images = pixels / 255
    figure = traversal_tiles(
        images, torch.tensor([-2.0, 0.0, 2.0]), [7, 0], (slice(0, 4), slice(4, 8))
    )
    axes = figure.axes[0]
    image = axes.images[0]
    left, right, bottom, top = image.get_extent()
    height, width = image.get_array().shape[:2]
    for row, column in np.ndindex(2, 3):
        down = int((row - top) / (bottom - top) * height)
        across = int((column - left) / (right - left) * width)
        middle = pixels[row, column, :, 2, 2]
        np.testing.assert_array_equal(image.get_array()[down, across], middle)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["−2", "0", "2"]
    labels = axes.get_yticklabels()
    assert [tick.get_text() for tick in labels] == ["$z_{8}$", "$z_{1}$"]
    assert [tick.get_color() for tick in labels] == [colour(1), colour(0)]


def test_traversals_with_too_few_names_are_refused():
    with pytest.raises(ValueError, match="2 latents at 3 values"):
        traversal_tiles(torch.rand(2, 3, 1, 5, 4), torch.tensor([-1.0, 1.0]))


def test_reconstructions_lie_below_their_images():
    pixels = torch.randint(256, (7, 1, 4, 4))
    originals = pixels / 255
    figure = reconstructions(originals, 1 - originals, columns=3)
    drawn = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(drawn[0:4, 6:10], pixels[1, 0])
    np.testing.assert_array_equal(drawn[6:10, 6:10], 255 - pixels[1, 0])
    np.testing.assert_array_equal(drawn[12:16, 12:16], pixels[5, 0])


def test_equal_figures_are_equal_files(tmp_path):
    for kind in ("png", "svg", "pdf"):
        one, two = (
            save(latent_sheet(codes_on(SPRITES), NATS), tmp_path / name / f"sheet.{kind}")
            for name in ("one", "two")
        )
        assert one.read_bytes() == two.read_bytes()
        assert len(one.read_bytes()) > 5000


def test_an_unknown_format_is_named(tmp_path):
    figure = reconstructions(torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4))
    with pytest.raises(ValueError, match="png, svg, pdf, not 'jpg'"):
        save(figure, tmp_path / "figure.jpg")
    assert not list(tmp_path.iterdir())
    assert encode(figure, "png").startswith(b"\x89PNG")


POSITIONS = FactorGrid(("scale", "posX", "posY"), (2, 4, 3))
# The third latent knows most of both, but a plane needs two: it and the first, which knows y.
PLANE_NATS = information(
    [0.3, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.3, 1.05], [0.0, 1.2, 0.1],
    factors=("scale", "posX", "posY"),
)  # fmt: skip


def test_plane_is_that_of_the_two_latents_that_know_most_of_the_positions():
    codes = codes_on(POSITIONS, latents=4)
    prior = torch.arange(20.0).reshape(5, 4)
    plane = position_plane(codes, PLANE_NATS, prior)
    assert (plane.factors, plane.latents) == (("posX", "posY"), (2, 0))
    means = codes.mean.double().reshape(2, 4, 3, 4).mean(0)[..., [2, 0]]
    torch.testing.assert_close(plane.codes.double(), means)
    torch.testing.assert_close(plane.prior, prior[:, [2, 0]])


def test_orientation_draws_red_lines_of_one_x_and_blue_lines_of_one_y():
    plane = position_plane(codes_on(POSITIONS, latents=4), PLANE_NATS, torch.zeros(5, 4))
    figure = orientation({str(k): plane for k in range(4)})
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in drawn] == ["0", "1", "2", "3"]
    reds, blues = drawn[0].collections[1:3]
    np.testing.assert_allclose(reds.get_segments(), plane.codes)  # at posX = 0, 1, 2, 3
    np.testing.assert_allclose(blues.get_segments(), plane.codes.transpose(0, 1))
    assert [c.get_edgecolor()[0][0] > 0.5 for c in (reds, blues)] == [True, False]
    assert (drawn[0].get_xlabel(), drawn[0].get_ylabel()) == ("$z_{3}$", "$z_{1}$")
    low, high = drawn[0].get_xlim()
    assert low == -high
    assert high > abs(plane.codes).max()


def test_a_plane_needs_two_latents_and_two_ordered_factors():
    with pytest.raises(ValueError, match="two latents"):
        position_plane(codes_on(POSITIONS, latents=1), PLANE_NATS, torch.zeros(5, 1))
    with pytest.raises(ValueError, match="two ordered factors"):
        position_plane(codes_on(FactorGrid(("a",), (4,))), PLANE_NATS, torch.zeros(5, 3))
