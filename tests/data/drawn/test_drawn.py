"""The drawn heads, cars and rooms: ray casters against closed forms, and what factors must do."""

import numpy as np
import pytest
import torch

from isavae.data import DATASETS, load
from isavae.data.drawn import rooms
from isavae.data.drawn.car_shapes import cars, side_chart
from isavae.data.drawn.cars import render as render_cars
from isavae.data.drawn.faces import LIGHTS
from isavae.data.drawn.faces import render as render_heads
from isavae.data.drawn.heads import CHART, cell_directions, directions_chart, heads
from isavae.data.drawn.surfaces import first_hits, looking, pixel_grid, shrink


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
    image = torch.arange(16.0)
    expected = torch.nn.functional.avg_pool2d(image.view(1, 1, 4, 4), 2).flatten()
    assert torch.equal(shrink(image, 4, 2), expected)


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
    covered = [(image < 0.97).any(dim=1) for image in (left, right.flip(-1))]
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


def test_the_distance_from_a_room_object_is_that_of_its_closed_form():
    p = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * 6 - 3
    s = 0.9 * 1.2
    sphere = (p - torch.tensor([0, 1.1 * s, 0])).norm(dim=1) - 1.1 * s
    assert torch.allclose(rooms.distance("sphere", 1.2, p), sphere, atol=1e-5)
    for shape, top in (("cube", 2 * s), ("cylinder", 2 * s), ("capsule", 2.6 * s)):
        above = torch.tensor([[0.0, top + 0.7, 0.0], [0.0, -0.7, 0.0]])  # it stands on the floor
        assert torch.allclose(rooms.distance(shape, 1.2, above), torch.tensor(0.7), atol=1e-5)
    corner = torch.tensor([[s + 0.3, s, s + 0.4]])
    assert torch.allclose(rooms.distance("cube", 1.2, corner), torch.tensor(0.5), atol=0.04)
    assert rooms.distance("cylinder", 1.2, corner) > 0.7  # nothing is in a cylinder's corner


def test_views_of_a_room_share_each_pixel_out_and_have_a_shadow_on_one_side():
    floor, wall, thing, _ = rooms.render("sphere", 1.0, 0.0).square().unbind()
    assert (wall[:10] > 0.2).all()  # walls above, floor below, the object in the middle
    assert (floor[-8:] > 0.6).all()
    assert thing[28:36, 28:36].min() > 0.1
    assert (thing[:, :12] == 0).all()
    assert (wall[:10] - wall[:10].flip(-1)).abs().max() < 1e-5  # straight ahead is symmetric
    ground = floor[44:46]
    assert ground[:, 34:46].mean() < ground[:, 18:30].mean() - 0.1  # the sun is on the left


def test_rooms_turn_and_grow():
    def seen(scale, orientation):
        return rooms.render("cube", scale, orientation)

    assert (seen(1.25, 0.0)[2] > 0.2).sum() > 1.5 * (seen(0.75, 0.0)[2] > 0.2).sum()
    left, right = (seen(1.0, angle)[1] > 0.2 for angle in (-30.0, 30.0))
    assert (left ^ right.flip(-1)).float().mean() < 0.02
    across = [(seen(1.0, angle)[2] > 0.2).any(0).sum() for angle in (0.0, 30.0)]
    assert 1.15 < across[1] / across[0] < 1.45  # a cube on its edge: cos 30 + sin 30 = 1.37


def test_colours_go_by_row_and_the_object_is_painted_alone():
    hues = rooms.colours(np.array([rooms.GRID.index((0, 5, 3, 0, 0, 0))]))[0]
    assert hues[0].tolist() == pytest.approx([1, 0.0064, 0.0064], abs=1e-4)  # floor: red
    assert hues[1].tolist() == pytest.approx([0.0064, 1, 1], abs=1e-4)  # walls: cyan
    assert hues[2].argmax() == 1  # object: nearly green
    view = torch.zeros(1, 4, 1, 4)
    view[0, :, 0] = torch.eye(4)
    painted = rooms.colourise(view, np.array([rooms.GRID.index((0, 5, 3, 7, 3, 14))]))
    assert torch.allclose(painted[0, :, 0, :3], hues.T.sqrt())
    assert (painted[0, :, 0, 3] == 1).all()


def test_every_row_of_the_rooms_shows_its_view_in_its_colours(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(rooms, "SIZE", 8)
    monkeypatch.setattr(rooms, "STEPS", 20)
    data = load("rooms3d-drawn")
    assert (len(data), data.shape, data.is_binary) == (480_000, (3, 8, 8), False)
    classes = (9, 2, 4, 6, 1, 13)
    row = data.grid.index(classes)
    view = rooms.render("cylinder", rooms.SCALES[6], rooms.ORIENTATIONS[13])
    expected = rooms.colourise(view[None], np.array([row]))
    assert (data.batch([row]) - expected).abs().max() < 0.02
    part = data.select(floor_hue=9, shape="cylinder").sample(50)
    for k in range(3):
        one = part.grid.values(k)
        whole = data.grid.index((9, *one[1:4], 1, one[5]))
        assert torch.equal(part.batch([k]), data.batch([whole]))
    assert data.minibatch(0, 3, 16).shape == (16, 3, 8, 8)
