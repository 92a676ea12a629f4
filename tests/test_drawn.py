"""The drawn heads and cars: the ray caster against closed forms, and what the factors must do."""

import numpy as np
import pytest
import torch

from isavae.data import DATASETS, load
from isavae.data.cars import cars, side_chart
from isavae.data.cars import render as render_cars
from isavae.data.faces import LIGHTS
from isavae.data.faces import render as render_heads
from isavae.data.heads import CHART, cell_directions, directions_chart, heads
from isavae.data.surfaces import first_hits, looking, pixel_grid, shrink


def test_cells_and_directions_are_inverse():
    cells, distance = directions_chart(3 * cell_directions())
    assert torch.equal(cells, torch.arange(CHART**2))
    assert torch.allclose(distance, torch.tensor(3.0))


def test_rays_meet_spheres_where_they_should():
    radii = torch.tensor([0.5, 0.8])
    heights = radii.expand(CHART**2, 2)
    right, up, towards = looking(0.7, 0.3)
    x, y = pixel_grid(32, 1.0)
    origins = x[:, None] * right + y[:, None] * up + towards
    points, found = first_hits(directions_chart, heights, origins, -towards, 2.0, 40)
    inside = x[:, None] ** 2 + y[:, None] ** 2 < (radii - 0.03) ** 2  # rays that graze may slip by
    outside = x[:, None] ** 2 + y[:, None] ** 2 > radii**2
    assert found[inside].all()
    assert not found[outside].any()
    depth = (points @ towards)[inside]
    exact = (radii**2 - (x**2 + y**2)[:, None]).clamp_min(0).sqrt()[inside]
    assert (depth - exact).abs().max() < 0.01


def test_the_camera_is_a_rotation():
    camera = looking(1.1, -0.4)
    assert torch.allclose(camera @ camera.T, torch.eye(3), atol=1e-6)
    assert torch.allclose(torch.linalg.det(camera), torch.tensor(1.0))
    assert torch.allclose(looking(0.0, 0.0), torch.eye(3))


def test_shrinking_averages():
    picture = torch.arange(16.0)
    expected = torch.nn.functional.avg_pool2d(picture.view(1, 1, 4, 4), 2).flatten()
    assert torch.equal(shrink(picture, 4, 2), expected)


@pytest.fixture(scope="module")
def some_heads():
    return heads(n=3)


def test_the_same_seed_gives_the_same_heads(some_heads):
    again, other = heads(n=3), heads(seed=1, n=3)
    assert torch.equal(some_heads.radius, again.radius)
    assert torch.equal(some_heads.albedo, again.albedo)
    assert not torch.equal(some_heads.radius, other.radius)


def test_the_light_moves_from_side_to_side(some_heads):
    front = render_heads(some_heads, 0, 0)
    columns = torch.linspace(-1, 1, 64)
    side = (front.sum(2) * columns).sum(-1) / front.sum((2, 3))
    assert (side.diff(dim=1) > 0).all()
    assert front.shape == (3, len(LIGHTS), 64, 64)


def test_heads_turn(some_heads):
    """They are symmetric, so that turning right is the mirror image of turning left."""
    left, right = (render_heads(some_heads, azimuth, 10) for azimuth in (-63, 63))
    mirrored = right.flip(-1).flip(1)  # the light comes from the other side as well
    assert (left - mirrored).abs().mean() < 0.005
    assert (left - right).abs().mean() > 0.05


def test_heads_differ(some_heads):
    front = render_heads(some_heads, 0, 0)[:, 5]
    differences = [(front[i] - front[j]).abs().mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(differences) > 0.01


@pytest.fixture(scope="module")
def some_cars():
    return cars(n=4)


def test_cars_are_longer_from_the_side_than_from_the_front(some_cars):
    def width(azimuth):
        lit = (render_cars(some_cars, azimuth, 6) < 0.6).any(dim=1).any(dim=1)
        return lit.sum(-1)

    assert (width(90) > 1.6 * width(0)).all()
    assert (width(0) > 8).all()


def test_cars_have_red_lamps_behind_only(some_cars):
    def red(azimuth):
        r, g, b = render_cars(some_cars, azimuth, 16).unbind(1)
        return ((r > 0.55) & (g < 0.4) & (b < 0.4) & (r - g > 0.3)).sum((1, 2))

    paint = red(0)
    assert (red(180) > paint).sum() >= 3  # a red car may hide them


def test_car_geometry_is_symmetric(some_cars):
    left, right = (render_cars(some_cars, azimuth, 26) for azimuth in (40, -40))
    covered = [(picture < 0.97).any(dim=1) for picture in (left, right.flip(-1))]
    assert (covered[0] ^ covered[1]).float().mean() < 0.02


def test_the_sun_follows_the_camera(some_cars):
    """Both sides are lit alike, which needs normals that point outward on both."""
    right, left = (render_cars(some_cars, azimuth, 6) for azimuth in (90, -90))
    assert (right.mean((1, 2, 3)) - left.mean((1, 2, 3))).abs().max() < 0.003


def test_nothing_is_inside_beyond_the_chart(some_cars):
    far = torch.tensor([[0.0, -5.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.5, 9.0], [0.0, 0.5, -9.0]])
    cells, levels = side_chart(far)
    assert (levels[:, None] >= some_cars.half_width[cells]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faces3d-drawn", "cars3d-drawn"])
def test_whole_data_sets_follow_their_grid(name):
    dataset = load(name)
    assert len(dataset) == len(DATASETS[name].grid)
    if name == "faces3d-drawn":
        rows, _ = dataset.grid.select(azimuth=4, elevation=7)
        expected = render_heads(heads(), -54, 12).flatten(0, 1)
    else:
        rows, _ = dataset.grid.select(elevation=2, azimuth=5)
        expected = render_cars(cars(), 75, 26)
    images = dataset.batch(rows).view(expected.shape)
    assert (images - expected).abs().max() < 0.02
    assert np.unique(dataset.batch(rows[:50]).flatten(1).numpy(), axis=0).shape[0] == 50
