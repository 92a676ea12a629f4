"""The explorer's server: who may ask, what it answers, and that the ground may shift below it."""

import asyncio
import base64
import contextlib
import functools
import http.client
import io
import json
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.applications import Starlette
from torch.distributions import Independent, Normal

from isavae.cli import main
from isavae.data import FactorGrid, Preprocessing, load
from isavae.data.tiles import to_uint8
from isavae.distributions import LpNested, LpTree
from isavae.evaluation import encode_all
from isavae.explorer import connection
from isavae.explorer.behind import Behind
from isavae.explorer.contour_lines import iso_contours
from isavae.explorer.describe import score_lines
from isavae.explorer.guard import LARGEST_BODY, Guard
from isavae.explorer.latent_summary import LatentSummary
from isavae.explorer.request_values import nearest_row
from isavae.explorer.server import opened
from isavae.explorer.uploads import read_upload, to_gif
from isavae.metrics import METRICS, Codes
from isavae.models import build_prior
from isavae.runs import Run, TrainedModel, names_of, save_model
from tests.explorer_site import DATA, TOKEN, serving, train_small

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("explorer") / "small run")


@pytest.fixture(scope="module")
def site(run):
    with serving(run.path) as site:
        yield site


def codes_body(codes):
    return np.asarray(codes, dtype="<f4").tobytes()


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


# Who may ask


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "ü"])
@pytest.mark.parametrize("path", ["/", "/main.js", "/api/overview", "/api/runs/run/decode", "/no"])
def test_without_the_token_nothing_is_told(site, token, path):
    encoded = token.encode() if token else token
    for method in ("GET", "POST"):
        headers = {} if token is None else {"Authorization": b"Bearer " + (encoded or b"")}
        response, content = site.ask(method, path, token=None, **headers)
        assert response.status == 403
        assert b"token" in content
        assert b"small" not in content


def test_the_printed_address_gives_a_cookie_of_this_site_only(site):
    response, _ = site.ask("GET", f"/?isavae-token={TOKEN}", token=None)
    cookie = response.headers["Set-Cookie"]
    assert response.status == 303
    assert response.headers["Location"] == "./"
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    response, content = site.ask("GET", "/", token=None, Cookie=cookie.split(";")[0])
    assert response.status == 200
    assert b"isavae explorer" in content
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1:99999", "[::1", "", "a b:80"]
)
def test_another_host_is_refused(site, host):
    response, _ = site.ask("GET", "/api/overview", Host=host)
    assert response.status in (400, 421)


@pytest.mark.parametrize(
    "host", ["evil.example@127.0.0.1:{port}", "127.0.0.1:{port}/evil", "127.0.0.1:{port}#"]
)
def test_an_address_is_no_host(site, host):
    response, _ = site.ask("GET", "/api/overview", Host=host.format(port=site.port))
    assert response.status == 421


def test_of_several_origins_each_must_be_ours(site):
    ours = f"http://127.0.0.1:{site.port}"
    for origins, status in ((ours, "http://evil.example"), 403), ((ours, ours), 200):
        with socket.create_connection(("127.0.0.1", site.port)) as asking:
            lines = [f"Host: 127.0.0.1:{site.port}", f"Authorization: Bearer {TOKEN}"]
            lines += [f"Origin: {origin}" for origin in origins]
            asking.sendall("\r\n".join(["GET /api/overview HTTP/1.1", *lines, "", ""]).encode())
            assert asking.recv(100).startswith(f"HTTP/1.1 {status}".encode())


def test_our_own_names_are_accepted(site):
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        response, _ = site.ask("GET", "/api/overview", Host=f"{name}:{site.port}")
        assert response.status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", ""])
def test_another_origin_is_refused(site, origin):
    origin = origin.format(port=site.port)
    response, _ = site.ask("POST", "/api/runs/run/decode", codes_body([[0] * 6]), Origin=origin)
    assert response.status == 403
    ours = f"http://127.0.0.1:{site.port}"
    response, _ = site.ask("POST", "/api/runs/run/decode", codes_body([[0] * 6]), Origin=ours)
    assert response.status == 200


def test_behind_a_proxy_its_host_is_accepted_below_its_path(run):
    behind = Behind.parse("/user/me/proxy/8000/", ["Hub.example", "localhost:9000"])
    with serving(run.path, behind=behind) as site:
        for host, origin, status in (
            ("hub.example", "https://hub.example", 200),
            ("hub.example", "http://hub.example", 200),
            ("LOCALHOST:9000", None, 200),
            ("hub.example", "https://elsewhere.example", 403),
            ("hub.example:8443", None, 421),
            ("localhost:9001", None, 421),
        ):
            for base in ("", "/user/me/proxy/8000"):  # proxies take it away, or not
                headers = {"Host": host} | ({"Origin": origin} if origin else {})
                assert site.ask("GET", f"{base}/api/overview", **headers)[0].status == status
        own = f"127.0.0.1:{site.port}"  # a proxy that does not encrypt is not ours
        refused = site.ask("GET", "/api/overview", Host=own, Origin=f"https://{own}")[0]
        assert refused.status == 403
        path = f"/user/me/proxy/8000/?isavae-token={TOKEN}"
        response, _ = site.ask("GET", path, token=None, Host="hub.example")
        assert response.headers["Location"] == "./"
        assert "Path=/user/me/proxy/8000/;" in response.headers["Set-Cookie"]
        assert site.ask("GET", "/user/me/proxy/80001/api/overview")[0].status == 404


@pytest.mark.parametrize(
    ("base", "hosts"),
    [("proxy", []), ("/a b", []), ("/a/../b", []), ("/a;b", []), ("//evil.example", []),
     ("/a", ["https://hub.example"]), ("", ["a/b"]), ("", [""]), ("", ["a:b"]), ("", ["a b"])],
)  # fmt: skip
def test_a_base_path_or_host_that_is_none_is_refused(base, hosts):
    with pytest.raises(ValueError, match="must be"):
        Behind.parse(base, hosts)


@pytest.mark.parametrize(
    ("bound", "host", "ours"),
    [
        ("0.0.0.0", "10.0.0.7:80", True),
        ("0.0.0.0", "rebound.example:80", False),
        ("0.0.0.0", "localhost:80", True),
        ("10.0.0.7", "10.0.0.7:80", True),
        ("10.0.0.7", "localhost:80", False),
    ],
)
def test_with_a_wildcard_address_only_names_that_dns_decides_are_refused(bound, host, ours):
    assert Guard(Starlette(), TOKEN, bound, 80)._is_us(host) == ours


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/config.json",
        "/static/main.js",
        "/api/runs/..",
        "/api/runs/..%2f..%2fetc%2fpasswd",
        "/api/runs/%2fetc/image?index=0",
        "/api/runs/small%20run",
    ],
)
def test_no_path_reaches_the_file_system(site, path):
    response, _ = site.ask("GET", path)
    assert response.status == 404


# Bodies


def test_bodies_that_are_too_large_are_refused_unread(site):
    announced, _ = site.ask("POST", "/api/runs/run/encode", b"", Content_Length=str(1 << 40))
    assert announced.status == 413


def test_a_chunked_body_is_cut_at_the_limit(site):
    async def send():
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(
            f"POST /api/runs/run/encode HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
            f"Authorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        sent = 0
        answer = asyncio.ensure_future(reader.readline())
        while not answer.done() and sent < 4 * LARGEST_BODY:
            writer.write(chunk)
            await asyncio.wait([answer], timeout=0.02)
            sent += 1 << 20
        status = await answer
        writer.close()
        return status, sent

    status, sent = asyncio.run(send())
    assert b"413" in status
    assert sent < 3 * LARGEST_BODY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"123",
        bytes(4 * 5),
        bytes(4 * 6 * 257),
        codes_body([[float("nan")] * 6]),
        codes_body([[float("inf")] * 6]),
        b'{"codes": [[0, 0]]}',
    ],
    ids=["empty", "odd", "narrow", "too many", "nan", "inf", "json"],
)
@pytest.mark.parametrize("what", ["decode", "gif"])
def test_malformed_codes_are_refused_with_a_sentence(site, body, what):
    response, content = site.ask("POST", f"/api/runs/run/{what}", body)
    assert response.status == 400
    assert "codes must be" in json.loads(content)["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(50), png(np.zeros((9, 9), "u1"))[:-30]],
)
def test_malformed_images_are_refused_with_a_sentence(site, body):
    response, content = site.ask("POST", "/api/runs/run/encode", body)
    assert response.status == 400
    assert "upload must be" in json.loads(content)["error"]


@pytest.mark.parametrize(
    "query",
    [
        "image?index=768",
        "image?index=-1",
        "image?index=1e3",
        "image?near=0,0",
        "image?near=0,0,0,0,99",
        "contours?x=0&y=0",
        "contours?x=0&y=6",
        "curves?latent=6",
        "curves?latent=0&x=posX&y=nonsense",
        "sample?seed=99999999999999999999",
    ],
)
def test_questions_out_of_range_are_refused_with_a_sentence(site, query):
    response, content = site.ask("GET", f"/api/runs/run/{query}")
    assert response.status == 400
    assert len(json.loads(content)["error"]) > 10


# What it answers


def test_without_a_question_the_image_is_a_typical_one(site, run):
    """Of 500 of 768 images the nearest to their median code: within the nearest tenth of all."""
    response, content = site.ask("GET", "/api/runs/run/image")
    assert response.status == 200
    means = encode_all(run.load_model(), load(run.config.data)).mean
    distances = (means - means.median(0).values).square().sum(1)
    nearer = (distances < distances[json.loads(content)["index"]]).sum()
    assert nearer < len(means) / 10


def test_decoding_is_the_models_own(site, run):
    codes = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    response, content = site.ask("POST", "/api/runs/run/decode", codes_body(codes))
    assert response.status == 200
    with torch.no_grad():
        expected = run.load_model().decode(codes).mean
    got = np.frombuffer(content, np.uint8).reshape(7, 1, 16, 16)
    assert np.abs(got / 255 - expected.numpy()).max() <= 0.5 / 255 + 1e-6


def test_an_image_of_the_data_set_has_the_models_posterior(site, run):
    images = load(DATA)
    index = images.grid.index((0, 2, 0, 5, 9))
    answer = site.json("/api/runs/run/image?near=0,2,0,5,9")
    assert answer["index"] == index
    assert answer["classes"] == [0, 2, 0, 5, 9]
    pixels = np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(pixels, to_uint8(images.batch([index])))
    with torch.no_grad():
        mean, log_std = run.load_model().moments(images.batch([index]))
    assert answer["mean"] == pytest.approx(mean[0].tolist())
    assert answer["std"] == pytest.approx(log_std[0].exp().tolist())


def test_an_uploaded_copy_of_an_image_is_encoded_like_it(site):
    answer = site.json("/api/runs/run/image?index=100")
    pixels = np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8).reshape(16, 16)
    _, content = site.ask("POST", "/api/runs/run/encode", png(pixels))
    assert json.loads(content)["mean"] == pytest.approx(answer["mean"], abs=1e-5)


def test_the_summary_is_the_exact_information_of_all_images(site, run):
    answer = site.json("/api/runs/run/summary")
    scores = run.scores()
    columns = [answer["factors"].index(name) for name in scores["factors"]]
    mutual = np.array(answer["mutual"])[:, columns]
    assert answer["sample"] == 768
    assert mutual == pytest.approx(np.array(scores["mutual_information"]), abs=1e-6)
    # What a latent says about a factor, it says about the image; and that is bounded by log n.
    about = np.array(answer["information"])
    assert (about >= mutual.max(axis=1) - 1e-4).all()
    assert (about <= np.log(768) + 1e-3).all()
    assert answer["active"] == (about > 0.05).tolist()


def test_curves_are_the_means_of_the_codes(site, run):
    images = load(DATA)
    z = LatentSummary.gather(run.load_model(), images).codes.mean[:, 1].numpy()
    answer = site.json("/api/runs/run/curves?latent=1&x=posX&y=posY")
    column, row = images.grid.column("posX"), images.grid.column("posY")
    assert answer["plane"][3][5] == pytest.approx(z[(row == 3) & (column == 5)].mean(), abs=1e-3)
    curve = next(c for c in answer["curves"] if c["factor"] == "posX")
    assert curve["lines"][0]["mean"][5] == pytest.approx(z[column == 5].mean(), abs=1e-3)
    assert curve["lines"][0]["std"][5] == pytest.approx(z[column == 5].std(), abs=1e-3)


def test_description_names_every_subspace_with_its_exponent(site):
    answer = site.json("/api/runs/run")
    assert [group["latents"] for group in answer["groups"]] == [[0, 1], [2, 3], [4, 5]]
    assert [group["exponent"] for group in answer["groups"]] == pytest.approx([2.2, 3, 2.2])
    assert [e["value"] for e in answer["exponents"]] == pytest.approx([2.1, 2.2, 3, 2.2])
    assert answer["weights"] == "KL × 0.02"
    titles = [line["title"] for line in answer["scores"]]
    assert titles == ["Reconstruction", "KL", "MIG"]
    assert all(line["meaning"] for line in answer["scores"])


def test_scores_of_any_metric_come_with_their_definition():
    mig, sap, kl, unknown = score_lines(
        {
            "data": "dsprites",
            "n_images": 64,
            "mig": {"value": 0.5},
            "sap": {"value": 0.25, "standard_error": 0.01},
            "elbo_decomposition": {"value": 8.0},
            "of_another_version": {"value": 1.0},
        }
    )
    assert (unknown["title"], unknown["meaning"]) == ("of another version", "")
    assert mig["meaning"].startswith("Mutual information gap")
    assert sap == {"title": "sap", "unit": "", "value": 0.25, "error": 0.01} | {
        "meaning": f"[0, 1], higher is better. {METRICS['sap'].source}; {METRICS['sap'].caveat}."
    }
    assert (kl["title"], kl["unit"], kl["error"]) == ("elbo decomposition", "nats", None)
    assert "better" not in kl["meaning"]


def test_prior_samples_depend_on_the_seed_only(site):
    a, b, c = (site.json(f"/api/runs/run/sample?seed={seed}")["code"] for seed in (7, 7, 8))
    assert a == b != c


def test_names_are_kept_beside_the_model(run, tmp_path, monkeypatch):
    copied = shutil.copytree(run.path, tmp_path / "run")
    with serving(copied) as site:
        post = functools.partial(site.ask, "POST", "/api/runs/run/names")
        before = site.json("/api/runs/run")
        assert (before["names"], before["may_name"]) == ([f"z{k}" for k in range(1, 7)], True)
        response, content = post(json.dumps({"z2": "slant"}))
        assert response.status == 200
        assert json.loads(content)["names"][1] == "slant"
        after = site.json("/api/runs/run")
        assert after["names"][1] == "slant"
        assert after["version"] == before["version"]  # it is the same model
        assert names_of(copied)[1] == "slant"
        assert post('{"z2": "x"}', Origin="http://elsewhere.example")[0].status == 403
        assert post('{"z2": "x"}', token=None)[0].status == 403
        for body in ("", "[]", '{"z2": 1}', '{"z9": "x"}', '{"z2": "z1"}'):
            response, content = post(body)
            assert response.status == 400
            assert "must" in json.loads(content)["error"]
        refuse = PermissionError(13, "Permission denied", str(copied))
        monkeypatch.setattr("isavae.runs.names_file.write_json", fails_with(refuse))
        response, content = post('{"z2": "x"}')
        assert response.status == 400
        said = json.loads(content)["error"]
        assert "cannot be written (Permission denied)" in said
        assert str(tmp_path) not in said
        assert names_of(copied)[1] == "slant"


def fails_with(error):
    def fail(*_):
        raise error

    return fail


def test_gif_goes_there_and_back(site):
    codes = np.zeros((5, 6), "<f4")
    codes[:, 0] = np.linspace(-2, 2, 5)
    _, content = site.ask("POST", "/api/runs/run/gif", codes.tobytes())
    animation = Image.open(io.BytesIO(content))
    assert animation.size == (256, 256)
    assert animation.n_frames == 8


# The pieces


@pytest.mark.parametrize("p", [0.8, 1.0, 2.0, 2.2, 6.0])
def test_contours_of_an_isa_subspace_are_its_lp_circles(p):
    tree = LpTree.isa(2.1, [(p, 3), (1.5, 2)])
    radii = iso_contours(LpNested(tree, scale=1.3), 0, 2, drops=[0.5, 2.0], angles=16)
    theta = torch.arange(16) * (2 * torch.pi / 16)
    unit = (theta.cos().abs() ** p + theta.sin().abs() ** p) ** (1 / p)
    for drop, level in zip([0.5, 2.0], radii, strict=True):
        # On the plane f is the subspace's p-norm, and log p falls by f^p0 / s.
        assert (level * unit).tolist() == pytest.approx([(drop * 1.3) ** (1 / 2.1)] * 16, rel=1e-5)


def test_contours_of_a_normal_prior_are_circles_at_whole_standard_deviations():
    prior = Independent(Normal(torch.zeros(4), torch.full((4,), 0.3)), 1)
    radii = iso_contours(prior, 1, 3)
    assert torch.allclose(radii, torch.tensor([[0.3], [0.6], [0.9]]).expand(3, 120), atol=1e-5)


def test_nearest_row_of_a_partial_grid_prefers_exact_classes_then_near_ones():
    labels = np.array([[0, 0], [0, 5], [3, 9], [-1, 2]])
    grid = FactorGrid(("shape", "x"), (4, 10), labels=labels)
    assert nearest_row(grid, [0, 6]) == 1
    assert nearest_row(grid, [3, 0]) == 0
    assert nearest_row(grid, [3, 6]) == 2
    assert nearest_row(FactorGrid(("shape", "x"), (4, 10)), [3, 2]) == 32


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_mode_become_what_the_model_wants(mode, channels):
    if mode == "I;16":
        image = Image.fromarray(np.full((30, 40), 65535, np.uint16))
    else:
        image = Image.new("RGB", (40, 30), "white").convert(mode)
    file = io.BytesIO()
    image.save(file, format="JPEG" if mode == "CMYK" else "PNG")
    tensor, _ = read_upload(file.getvalue(), Preprocessing((16, 16), channels=channels))
    assert tensor.shape == (1, channels, 16, 16)
    assert tensor.min() > 0.97


def test_transparency_is_white_as_in_training_and_the_centre_is_kept():
    wide = np.zeros((10, 30, 4), np.uint8)
    wide[:, 10:20, 3] = 255  # a black square in the middle, transparent beside it
    small = Preprocessing((10, 10), channels=1)
    assert read_upload(png(wide), small)[0].max() == 0
    assert read_upload(png(wide[:, :10]), small)[0].min() == 1
    stretched, _ = read_upload(png(wide), Preprocessing((10, 10), "stretch", 1))
    assert stretched[..., 0].min() == stretched[..., -1].min() == 1


def test_images_of_too_many_pixels_are_refused_before_they_are_unpacked():
    bomb = png(np.zeros((14_000, 14_000), bool))
    assert len(bomb) < 50_000
    with pytest.raises(ValueError, match="more pixels than are safe"):
        read_upload(bomb, Preprocessing((16, 16), channels=1))


def test_a_gif_of_one_colour_frame():
    frame = np.full((1, 8, 8, 3), (200, 30, 30), np.uint8)
    animation = Image.open(io.BytesIO(to_gif(frame, 50))).convert("RGB")
    assert np.abs(np.array(animation.getpixel((100, 100))) - (200, 30, 30)).max() < 8


def test_groups_of_a_normal_prior_are_one_card():
    from isavae.explorer.describe import describe_exponents, describe_groups

    prior = build_prior("normal", 5)
    assert [group["latents"] for group in describe_groups(prior)] == [[0, 1, 2, 3, 4]]
    assert describe_exponents(prior) == []


# Many at once, and a ground that shifts


def test_two_hundred_requests_in_flight_are_all_answered_rightly(site, run):
    codes = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = to_uint8(run.load_model().decode(codes).mean)

    async def all_at_once():
        pairs = [await asyncio.open_connection("127.0.0.1", site.port) for _ in codes]
        for code, (_, writer) in zip(codes, pairs, strict=True):
            body = codes_body(code)
            head = (
                f"POST /api/runs/run/decode HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
                f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
        answers = await asyncio.gather(*(reader.read() for reader, _ in pairs))
        for _, writer in pairs:
            writer.close()
        return answers

    answers = asyncio.run(all_at_once())
    assert len(answers) == 200
    for answer, image in zip(answers, expected, strict=True):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0]
        off = np.frombuffer(body, np.uint8).astype(int) - image.ravel()
        assert np.abs(off).max() <= 1  # batches of one and of many round differently


def test_a_run_that_changes_is_read_again_and_one_that_disappears_lives_on(run, tmp_path):
    path = tmp_path / "moving"
    shutil.copytree(run.path, path)
    body = codes_body([[0.5] * 6])
    with serving(path) as site:
        before, first = site.ask("POST", "/api/runs/run/decode", body)
        assert before.headers["X-Run-State"] == "present"

        model = run.load_model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.5)
        save_model(model, path / "model.safetensors", run.metadata() | {"step": 301})
        after, second = site.ask("POST", "/api/runs/run/decode", body)
        assert after.headers["X-Run-Version"] != before.headers["X-Run-Version"]
        assert second != first
        assert site.json("/api/runs/run")["step"] == 301

        (path / "model.safetensors").write_bytes(b"torn")
        torn, third = site.ask("POST", "/api/runs/run/decode", body)
        assert torn.headers["X-Run-State"] == "unreadable"
        assert third == second

        shutil.rmtree(path)
        gone, fourth = site.ask("POST", "/api/runs/run/decode", body)
        assert gone.status == 200
        assert gone.headers["X-Run-State"] == "gone"
        assert fourth == second
        assert site.json("/api/runs/run/summary")["sample"] == 768


def test_images_of_another_shape_are_refused_with_a_way_out(run):
    with serving(run.path, data="dsprites32[shape=heart, scale=0, orientation=0]") as site:
        response, content = site.ask("GET", "/api/runs/run/images")
        assert response.status == 400
        assert "--data" in json.loads(content)["error"]
        assert site.ask("POST", "/api/runs/run/decode", codes_body([[0] * 6]))[0].status == 200


def test_a_model_file_alone_can_be_explored(run, tmp_path):
    alone = tmp_path / "alone.safetensors"
    shutil.copy(run.model_path, alone)
    with serving(alone) as site:
        assert site.json("/api/overview")["kind"] == "model"
        assert site.json("/api/runs/run")["scores"] == []


def test_a_study_is_a_table_of_runs_that_may_vanish(run, tmp_path):
    study = tmp_path / "study"
    for seed in (0, 1):
        shutil.copytree(run.path, study / "runs" / f"r{seed}")
    (study / "runs" / "untrained").mkdir()
    shutil.copy(run.path / "config.json", study / "runs" / "untrained")
    with serving(study) as site:
        overview = site.json("/api/overview")
        rows = {row["id"]: row for row in site.json("/api/study")["rows"]}
        assert overview["kind"] == "study"
        assert overview["first"] in ("r0", "r1")
        assert [rows[name]["trained"] for name in ("r0", "r1", "untrained")] == [True, True, False]
        assert rows["r0"]["mig"] == pytest.approx(run.scores()["mig"]["value"])
        assert site.json("/api/runs/r1")["id"] == "r1"
        assert site.ask("GET", "/api/runs/untrained")[0].status == 410
        assert site.ask("GET", "/api/runs/r2")[0].status == 404

        shutil.copytree(run.path, study / "runs" / "r2")
        assert site.ask("GET", "/api/runs/r2")[0].status == 200
        shutil.rmtree(study / "runs" / "r0")
        assert site.ask("GET", "/api/runs/r0")[0].status == 410


# The command


def test_the_command_prints_an_address_warns_of_others_and_ends_at_an_interrupt(run):
    words = ["explore", str(run.path), "--no-browser", "--host", "0.0.0.0"]
    with subprocess.Popen(
        [sys.executable, "-m", "isavae", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        assert "http://0.0.0.0:" in line
        assert len(line.split("token=")[1].strip()) >= 32
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 130)
    assert err.startswith("warning: 0.0.0.0 can be reached by others")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["/nowhere"], "; /nowhere does not exist: correct the path, or train"),
        (["/"], "; / has no trained model: correct"),
        (["RUN", "--port", "99999"], "address must be free"),
        (["RUN", "--host", "192.0.2.1"], "address must be free"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(run, words, sentence, capsys):
    words = [str(run.path) if word == "RUN" else word for word in words]
    assert main(["explore", *words, "--no-browser"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("isavae explore: ")
    assert sentence in err
    assert err.count("\n") == 1


# What others may do to it


def test_a_redirection_leads_nowhere_else(site):
    response, _ = site.ask("GET", f"//evil.example/?isavae-token={TOKEN}", token=None)
    assert response.headers["Location"] == "../../"


def test_a_client_that_sends_too_much_reads_why(site):
    """It reads nothing before it has sent all: a closed connection would be a reset."""
    response, content = site.ask("POST", "/api/runs/run/encode", bytes(LARGEST_BODY + (8 << 20)))
    assert response.status == 413
    assert "a body may have" in json.loads(content)["error"]


def test_a_connection_without_a_request_is_closed(site, monkeypatch):
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.3)
    for begun in (b"", b"GET / HTTP/1.1\r\nHost: "):
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as idle:
            idle.sendall(begun)
            with contextlib.suppress(ConnectionResetError):
                assert idle.recv(1) == b""


def test_idle_connections_keep_nobody_out(site, monkeypatch):
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 20)
    idle = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(60)]
    for each in idle:
        with contextlib.suppress(ConnectionError):
            each.sendall(b"GET / HTTP/1.1\r\n")
    assert site.json("/api/overview")["kind"] == "run"
    for each in idle:
        each.close()


FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
from isavae.cli import main
sys.exit(main(sys.argv[1:]))
"""


@contextlib.contextmanager
def explorer_process(run, *interpreter):
    command = interpreter or ("-m", "isavae")
    child = subprocess.Popen(
        [sys.executable, *command, "explore", str(run.path), "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = child.stdout.readline()
    child.token = line.strip().split("=")[-1]
    yield child, int(line.split(":")[-1].split("/")[0])
    if child.poll() is None:
        child.kill()
    child.communicate()


def is_answered(port):
    """Whether a server there answers a request of another host, as it should."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as asking:
        asking.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        return b"421" in asking.recv(100)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit and /proc")
def test_without_file_descriptors_it_says_so_once_and_serves_on(run):
    import resource  # Windows has none

    with explorer_process(run) as (child, port):
        assert is_answered(port)  # it has opened what it needs
        time.sleep(0.5)
        opened_now = len(list(Path(f"/proc/{child.pid}/fd").iterdir()))
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (opened_now + 3, opened_now + 3))
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        time.sleep(1)
        for each in idle:
            each.close()
        time.sleep(1.5)
        assert is_answered(port)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert errors.count("could not be accepted") == 1
    assert "Traceback" not in errors


def test_idle_connections_do_not_delay_a_request_where_files_are_scarce(run):
    with explorer_process(run, "-c", FEW_FILES) as (_, port):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        began = time.monotonic()
        assert is_answered(port)
        assert time.monotonic() - began < connection.HEADER_SECONDS  # none had to run out
        for each in idle:
            each.close()


def test_an_end_before_it_could_accept_again_is_no_error(capsys):
    again = "Exception in callback BaseSelectorEventLoop._start_serving(<socket>)"
    loop = asyncio.new_event_loop()
    connection.AcceptErrors()(loop, {"message": again, "exception": ValueError("descriptor: -1")})
    loop.close()
    assert capsys.readouterr().err == ""


def test_an_interrupt_ends_it_in_seconds_while_it_is_asked(run):
    """One request has sent half of its body, the others wait for large images."""
    large = io.BytesIO()
    Image.new("L", (8100, 8100)).save(large, "WEBP", lossless=True)
    asked = [(100, b"half"), *[(large.tell(), large.getvalue())] * 12]
    with explorer_process(run) as (child, port):
        asking = [http.client.HTTPConnection("127.0.0.1", port) for _ in asked]
        for each, (length, body) in zip(asking, asked, strict=True):
            each.putrequest("POST", "/api/runs/run/encode")
            each.putheader("Authorization", f"Bearer {child.token}")
            each.putheader("Content-Length", str(length))
            each.endheaders(body)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
        for each in asking:
            each.close()
    assert (child.returncode, errors) == (0, "")


COMPUTING = """
import sys, threading, time
threading.Thread(target=time.sleep, args=({seconds},)).start()
"""
WITHIN_A_PROGRAM = "from isavae.cli import main\nprint('goes on after', main(sys.argv[1:]))"
AS_THE_COMMAND = "from isavae.__main__ import main\nmain()"


@pytest.mark.parametrize(
    ("seconds", "script", "said"),
    [(8, WITHIN_A_PROGRAM, "goes on after 0\n"), (300, AS_THE_COMMAND, "")],
    ids=["within a program", "as the command"],
)
def test_only_the_command_ends_its_process_while_a_request_computes(run, seconds, script, said):
    with explorer_process(run, "-c", COMPUTING.format(seconds=seconds) + script) as (child, port):
        assert is_answered(port)
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    output = output.removeprefix("(ends with Ctrl-C)\n")  # which may have been read above
    assert (child.returncode, output, errors) == (0, said, "")


def test_the_token_reaches_the_browser_in_a_file_that_others_cannot_read(run, monkeypatch):
    seen = []
    monkeypatch.setattr(webbrowser, "open", seen.append)
    with opened("http://127.0.0.1:1/?isavae-token=secret"):
        (address,) = seen
        assert "secret" not in address
        page = Path(address.removeprefix("file://"))
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        assert "token=secret&opened" in page.read_text()
    assert not page.exists()


@pytest.mark.parametrize(
    "scores",
    ["[]", "3", '"text"', "NaN", '{"mig": {"value": "high"}}', '{"mig": {"value": []}}', '{"mig"'],
)
def test_scores_of_any_shape_leave_the_model_open(run, tmp_path, scores):
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    (path / "scores.json").write_text(scores)
    with pytest.warns(UserWarning, match=r"scores\.json"):
        assert TrainedModel.from_run(Run.open(path)).scores is None


def test_a_score_that_is_not_a_number_is_null(run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    (path / "scores.json").write_text('{"mig": {"value": NaN}}')
    with serving(path) as site:
        assert site.json("/api/runs/run")["scores"][0]["value"] is None


def test_a_scatter_holds_every_class_in_proportion():
    classes = np.repeat([0, 1, 2], [9_000, 3, 997])[:, None]
    grid = FactorGrid(("shape",), (3,), labels=classes)
    codes = Codes(torch.zeros(10_000, 2), torch.zeros(10_000, 2), grid)
    summary = LatentSummary(codes, np.arange(10_000), 10_000, torch.zeros(2), None)
    rows = summary.scatter("shape", 1_000)
    counts = np.bincount(classes[rows, 0])
    np.testing.assert_allclose(counts, [900, 1, 99], atol=2)
    assert counts[1] > 0
    assert len(np.unique(summary.scatter(None, 1_000))) == 1_000
    assert (np.diff(summary.scatter(None, 1_000)) < 0).any()
