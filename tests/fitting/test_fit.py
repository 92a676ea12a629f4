"""The practitioner's path: images as people have them, and what comes out in the end."""

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from isavae.cli import main
from isavae.data import load
from isavae.data.tiles import png, tile
from isavae.distributions import marginal_entropies
from isavae.explorer.sources import open_source
from isavae.fitting import (
    Axis,
    axes_of,
    choose,
    fit,
    output_folder,
    read_training_images,
)
from isavae.fitting.model_choice import Candidate, _dependence, candidates, peers_of
from isavae.metrics import Codes, latent_information, mig, partner_correlations
from isavae.models import BetaVAE
from isavae.runs import Run, RunConfig, TrainedModel, name_latents
from isavae.studies import StudyDirectory, run_id
from tests.explorer_page import CHROMIUM, FLAGS
from tests.report_page import commands_in, cut_off, cut_off_in_print

pytestmark = pytest.mark.system

PAGES = Path(__file__).parents[2] / "docs"
SMALL = ["--size", "16", "--steps", "200", "--seeds", "2", "--beta", "2", "--prior", "2.1[6*2]"]
SMALL += ["--workers", "2"]


def draw(folder, n=60):
    """Hearts at places as PNG files; returns the places, hidden from the tool."""
    data = load("dsprites16[shape=heart, scale=5, orientation=0]").sample(n)
    folder.mkdir(parents=True)
    for row in range(n):
        (folder / f"{row:03d}.png").write_bytes(png(tile(data.batch([row]), 1)))
    return data


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder of images, one of them broken, fitted from the command line."""
    root = tmp_path_factory.mktemp("fit")
    draw(root / "images")
    (root / "images" / "broken.png").write_bytes(b"\x89PNG, but no more")
    assert main(["fit", str(root / "images"), "--out", str(root / "out"), *SMALL]) == 0
    return root


def complaint(capsys, *words):
    """The one line on stderr that a bad command ends with."""
    assert main([str(word) for word in words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "Traceback" not in lines[0]
    return lines[0]


def test_fit_leaves_model_report_and_codes(fitted):
    out = fitted / "out"
    model = TrainedModel.load(out / "model.safetensors")
    assert model.shape == (1, 16, 16)
    table = polars.read_csv(out / "codes.csv")
    assert table.columns == ["image", "z1", "z2", "z1_std", "z2_std"]
    assert table["image"].to_list() == [f"{row:03d}.png" for row in range(60)]
    assert polars.read_parquet(out / "codes.parquet").shape == table.shape
    report = (out / "report.html").read_text()
    assert "broken.png: no image, or a damaged one" in report
    assert "1 cannot be read and is left out: broken.png" in report
    assert report.count("data:image/png;base64,") >= 3
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", report)
    assert "<title>out · isavae fit</title>" in report
    assert "PCA" in report
    assert report.count("<svg") == 1  # the learning curves
    assert "$" not in report
    assert report.count('class="chosen"') == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_the_report_is_whole_on_a_phone_and_on_paper(fitted, tmp_path):
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
    page = tmp_path / "report.html"  # with the longest name of a folder that breaks nowhere
    page.write_text((fitted / "out" / "report.html").read_text().replace(" out", f" {'o' * 80}"))
    with sync.sync_playwright() as play:
        tab = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS).new_page()
        tab.goto(page.as_uri())
        for width in (320, 390, 1000):
            tab.set_viewport_size({"width": width, "height": 800})
            assert cut_off(tab) == []
        assert cut_off_in_print(tab) == []
        tab.context.browser.close()


def test_the_codes_in_the_table_are_the_models(fitted):
    model = TrainedModel.load(fitted / "out" / "model.safetensors")
    found = read_training_images(fitted / "images", (16, 16))
    mean, log_std = model.encode(torch.from_numpy(found.images).float() / 255)
    table = polars.read_parquet(fitted / "out" / "codes.parquet")
    np.testing.assert_allclose(table["z2"].to_numpy(), mean[:, 1].numpy(), atol=1e-5)
    np.testing.assert_allclose(table["z1_std"].to_numpy(), log_std[:, 0].exp(), atol=1e-5)


def test_fitting_again_goes_on_and_changes_nothing(fitted):
    out = fitted / "out"
    before = (out / "model.safetensors").read_bytes(), (out / "report.html").read_text()
    assert main(["fit", str(fitted / "images"), "--out", str(out)]) == 0
    assert ((out / "model.safetensors").read_bytes(), (out / "report.html").read_text()) == before


def test_a_command_for_a_run_says_where_the_runs_of_a_fit_are(fitted, capsys):
    said = complaint(capsys, "evaluate", fitted / "out")
    assert said.endswith(f"take one of the runs in {fitted / 'out' / 'study' / 'runs'}")


def test_the_page_takes_codes_and_encoder_into_pandas_and_scikit_learn(fitted, monkeypatch):
    monkeypatch.chdir(fitted)
    names = polars.read_csv("out/codes.csv")["image"].to_list()
    rows = "".join(f"{name},{'ab'[k % 2]}\n" for k, name in enumerate(names))
    (fitted / "labels.csv").write_text("image,kind\n" + rows)
    page = (PAGES / "practitioner.md").read_text()
    program = page.partition("```py\n")[2].partition("```")[0].replace("found", "out")
    made = {}
    exec(compile(program, "practitioner.md", "exec"), made)
    assert made["means"].columns.tolist() == ["z1", "z2"]
    first = made["encoder"].transform(made["images"][:3])
    np.testing.assert_allclose(first, made["means"][:3], atol=1e-5)
    assert {*made["pipeline"].predict(made["images"])} <= {"a", "b"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--beta", "3"], r"beta was \[2\.0\], now it is \[3\.0\]"),
        (["--seeds", "0"], "seeds was 2, now it is 0"),
        (["--size", "16x32"], r"size was \[16, 16\], now it is \[16, 32\]"),
        (["--prior", "2[6*2]"], r"prior was 2\.1\[6\*2\], now it is 2\[6\*2\]"),
        (["--likelihood", "bernoulli"], "likelihood was not given, now it is bernoulli"),
        (["--steps", "50"], "steps was 200, now it is 50"),
        (["--fit", "pad"], "fit was not given, now it is pad"),
        (["--learn-exponents"], "learn_exponents was not given, now it is True"),
    ],
)
def test_flags_that_differ_when_it_goes_on_are_refused(fitted, capsys, flags, words):
    said = complaint(capsys, "fit", fitted / "images", "--out", fitted / "out", *flags)
    assert re.search(words, said)
    assert "another output folder" in said


def test_a_folder_that_was_moved_goes_on_and_is_explored_there(fitted, tmp_path, monkeypatch):
    moved = shutil.copytree(fitted / "out", tmp_path / "moved")
    monkeypatch.setattr(output_folder, "FIT_IMAGES", "pictures.npy")
    (moved / "images.npy").rename(moved / "pictures.npy")
    before = load_file(moved / "model.safetensors")
    weights = {p.read_bytes() for p in (moved / "study").glob("runs/*/model.safetensors")}
    assert main(["fit", str(fitted / "images"), "--out", str(moved), *SMALL]) == 0
    torch.testing.assert_close(load_file(moved / "model.safetensors"), before, rtol=0, atol=0)
    runs = [Run.open(path) for path in (moved / "study" / "runs").iterdir()]
    assert {run.model_path.read_bytes() for run in runs} == weights
    name = f"{moved / 'pictures.npy'}[axes=chw, range=dtype]"
    assert {run.config.data for run in runs} == {name}
    assert {run.path.name for run in runs} == {run_id(run.config) for run in runs}
    for path in (moved, moved / "study"):
        library = open_source(path).library
        shown = library.show(open_source(path).overview["first"])
        assert len(library.images(shown)) == 60


def test_a_folder_that_was_moved_is_used_before_it_goes_on(fitted, tmp_path, capsys):
    moved = shutil.copytree(fitted / "out", tmp_path / "moved")
    gone = (fitted / "out").rename(fitted / "elsewhere")
    try:
        page = (moved / "report.html").read_bytes()
        run = next((moved / "study" / "runs").iterdir())
        out = str(tmp_path / "codes.csv")
        assert main(["encode", str(moved), str(fitted / "images"), "--out", out]) == 0
        assert main(["evaluate", str(run), "--images", "20"]) == 0
        assert main(["figure", "reconstructions", str(run)]) == 0
        assert main(["study", "report", str(moved)]) == 0
        assert (moved / "report.html").read_bytes() == page
        TrainedModel.from_pretrained(moved).save_pretrained(tmp_path / "shared")
        names = ("study/report.html", "report.html", "model.safetensors", "codes.csv")
        shared = [*(moved / name for name in names), *(tmp_path / "shared").iterdir()]
        assert not [file for file in shared if str(fitted).encode() in file.read_bytes()]
        others = f"{moved / 'images.npy'}[axes=chw, range=dtype]"
        (moved / "fit.json").unlink()
        capsys.readouterr()
        assert main(["figure", "traversals", str(run)]) == 2
        assert "name their new place with --data" in capsys.readouterr().err
        assert main(["figure", "traversals", str(run), "--data", others]) == 0
        assert (
            main(["figure", "traversals", str(run), "--data", "dsprites32[scale=0, posX=0]"]) == 2
        )
        assert "must have the run's shape" in capsys.readouterr().err
    finally:
        gone.rename(fitted / "out")


def test_other_images_are_not_mixed_in(fitted, capsys, tmp_path):
    draw(tmp_path / "others", 20)
    said = complaint(capsys, "fit", tmp_path / "others", "--out", fitted / "out")
    assert "made from other images" in said


def test_encode_decode_sample_export(fitted, capsys, tmp_path):
    model = str(fitted / "out" / "model.safetensors")
    codes, decoded = tmp_path / "codes.csv", tmp_path / "decoded"
    assert main(["encode", model, str(fitted / "images"), "--out", str(codes)]) == 0
    assert "left out: broken.png" in capsys.readouterr().out
    ours = polars.read_csv(fitted / "out" / "codes.csv")
    theirs = polars.read_csv(codes)
    np.testing.assert_allclose(ours.drop("image"), theirs.drop("image"), atol=1e-5)
    assert main(["decode", model, str(codes), "--out", str(decoded)]) == 0
    assert len([*decoded.glob("*.png")]) == 60
    assert image_size(decoded / "00007.png") == (16, 16)
    assert main(["sample", model, "--out", str(tmp_path / "s.png"), "--n", "9"]) == 0
    assert image_size(tmp_path / "s.png") == (3 * 17 - 1, 3 * 17 - 1)
    again = tmp_path / "again.safetensors"
    assert main(["export", str(fitted / "out"), "--out", str(again)]) == 0
    assert TrainedModel.load(again).config == TrainedModel.load(model).config
    codes.write_text("z1\n0.5\n")
    assert "it lacks z2" in complaint(capsys, "decode", model, codes, "--out", decoded)
    codes.write_text("z1,z2\n0.5,much\n")
    assert "must be a number" in complaint(capsys, "decode", model, codes, "--out", decoded)


def test_names_of_axes_go_into_report_tables_and_model(fitted, capsys, tmp_path):
    out, name = shutil.copytree(fitted / "out", tmp_path / "out"), "<b>=slant & $x$"
    assert main(["name-axes", str(out), f"z2={name}"]) == 0
    assert f"z2: {name}" in capsys.readouterr().out
    assert polars.read_csv(out / "codes.csv").columns[1:3] == ["z1", name]
    report = (out / "report.html").read_text()
    assert "<b>=slant" not in report
    assert "<b>&lt;b&gt;=slant &amp; $x$</b>" in report
    before = report, (out / "codes.csv").read_bytes()
    assert main(["fit", str(fitted / "images"), "--out", str(out)]) == 0
    assert ((out / "report.html").read_text(), (out / "codes.csv").read_bytes()) == before
    (out / "model.names.json").unlink()
    assert TrainedModel.load(out / "model.safetensors").names == ["z1", name]
    capsys.readouterr()
    name_latents(out, {"z1": "size", "z2": ""})  # as the explorer does
    assert main(["name-axes", str(out)]) == 0
    assert "have these names" in capsys.readouterr().out
    assert polars.read_csv(out / "codes.csv").columns[1:3] == ["size", "z2"]
    assert "<b>size</b>" in (out / "report.html").read_text()
    assert main(["name-axes", str(out)]) == 0
    assert "have these names" not in capsys.readouterr().out
    assert "must be a .safetensors" in complaint(capsys, "name-axes", tmp_path, "z1=a")
    assert "z1 to z2" in complaint(capsys, "name-axes", out, "z3=a")
    assert "is none" in complaint(capsys, "name-axes", out, "z1")


def test_the_commands_of_the_report_work_in_its_folder_also_after_a_move(
    fitted, tmp_path, monkeypatch
):
    moved = shutil.copytree(fitted / "out", tmp_path / "deep" / "moved & renamed")
    monkeypatch.chdir(moved)
    explore, name = commands_in(Path("report.html"))
    assert explore[:2] == ["isavae", "explore"]
    assert open_source(Path(*explore[2:])).overview["title"] == "moved & renamed"
    assert main(name[1:]) == 0
    assert "<b>slant</b>" in Path("report.html").read_text()
    assert str(fitted) not in Path("report.html").read_text()


def test_images_as_people_have_them(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for row in range(16):
        grey = Image.fromarray(rng.integers(0, 256, (40, 52), dtype=np.uint8))
        grey.save(tmp_path / "deep" / "er" / f"{row}.png")
    deep = rng.integers(0, 65536, (40, 40), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "sixteen bits.png")
    clear = np.zeros((40, 40, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "transparent.png")
    frames = [Image.new("L", (40, 40), shade) for shade in (10, 90)]
    frames[0].save(tmp_path / "animated.webp", save_all=True, append_images=frames[1:])
    Image.new("L", (40, 40), 7).save(tmp_path / "constant.png")
    Image.new("1", (20_000, 15_000)).save(tmp_path / "huge.png")
    (tmp_path / "garbage.jpg").write_bytes(b"no image")
    whole = (tmp_path / "deep" / "er" / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:700])
    (tmp_path / "leads nowhere.png").symlink_to(tmp_path / "missing.png")
    found = read_training_images(tmp_path)
    assert found.images.shape == (20, 1, 40, 52)
    assert found.left_out.pop("cut.png")
    assert found.left_out == {
        "huge.png": "more pixels than are safe to decode",
        "garbage.jpg": "no image, or a damaged one",
        "leads nowhere.png": "No such file or directory",
    }
    shown = dict(zip(found.names, found.images, strict=True))
    assert abs(shown["animated.webp"].mean() - 10) < 3  # the first frame
    assert (shown["transparent.png"] == 255).all()
    assert (shown["constant.png"] == 7).all()
    bright = deep[4:36].mean() / 257
    assert abs(shown["sixteen bits.png"].mean() - bright) < 12


@pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user: root reads everything")
def test_an_image_that_may_not_be_read_is_named(tmp_path):
    draw(tmp_path / "images", 20)
    (tmp_path / "images" / "003.png").chmod(0)
    assert "Permission" in read_training_images(tmp_path / "images").left_out["003.png"]


def test_colour_is_kept_where_there_is_some(tmp_path):
    draw(tmp_path / "images", 20)
    Image.new("RGB", (16, 16), (200, 30, 30)).save(tmp_path / "images" / "red.png")
    assert read_training_images(tmp_path / "images").images.shape == (21, 3, 16, 16)


def test_bad_folders_get_a_sentence(fitted, tmp_path, capsys):
    out = tmp_path / "out"
    assert "there is none" in complaint(capsys, "fit", tmp_path / "none", "--out", out)
    (tmp_path / "empty").mkdir()
    assert "holds none" in complaint(capsys, "fit", tmp_path / "empty", "--out", out)
    draw(tmp_path / "few", 5)
    assert "At least 16" in complaint(capsys, "fit", tmp_path / "few", "--out", out)
    for row in range(20):
        Image.new("L", (16, 16), 99).save(tmp_path / "empty" / f"{row}.png")
    assert "all the same" in complaint(capsys, "fit", tmp_path / "empty", "--out", out)
    images = fitted / "images"
    assert "below" in complaint(capsys, "fit", images, "--out", images / "out")
    assert "at least two" in complaint(capsys, "fit", images, "--out", out, "--seeds", "1")
    assert "s, m or h" in complaint(capsys, "fit", images, "--out", out, "--budget", "soon")
    assert not out.exists()


@pytest.mark.parametrize("budget", [math.nan, 0.0, -1.0])
def test_a_budget_that_is_no_time_is_refused(tmp_path, budget):
    with pytest.raises(ValueError, match="a budget must be a positive number of seconds; got "):
        fit(tmp_path, tmp_path / "out", budget=budget)


def test_a_budget_that_is_too_short_can_be_continued(tmp_path, capsys):
    draw(tmp_path / "images", 20)
    words = ["fit", str(tmp_path / "images"), "--out", str(tmp_path / "out")]
    assert main([*words, *SMALL, "--budget", "0.01s"]) == 2
    assert "give the same command again to resume" in capsys.readouterr().err
    for command in (["encode", words[-1], words[1]], ["name-axes", words[-1]]):
        assert "a fit must have chosen a model" in complaint(capsys, *command)
    images = tmp_path / "out" / "images.npy"
    written = images.read_bytes()
    images.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    assert main(words) == 2
    assert "images.npy must be as isavae wrote it" in capsys.readouterr().err
    images.write_bytes(written)
    assert main(words) == 0
    assert (tmp_path / "out" / "report.html").is_file()
    assert len(json.loads((tmp_path / "out" / "fit.json").read_text())["names"]) == 20


def image_size(path):
    with Image.open(path) as image:
        return image.size


def codes_of(mean):
    return Codes(mean, torch.full_like(mean, -3.0))


def test_axes_are_trusted_where_other_seeds_find_them():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(2000, 3, generator=generator)
    noise = torch.randn(2000, 1, generator=generator)
    mine = codes_of(torch.cat([truth, 0.01 * noise], 1))
    rotated = torch.stack([truth[:, 1] + truth[:, 2], truth[:, 1] - truth[:, 2]], 1)
    # Another order, another sign, another scale of the first axis; the others are mixed.
    other = codes_of(torch.cat([rotated, -torch.exp(truth[:, :1]), noise], 1))
    axes = axes_of(mine, [other, other], [slice(0, 1), slice(1, 4)])
    verdicts = {axis.latent: axis.verdict for axis in axes}
    assert verdicts[0] == "stable"
    assert verdicts[1] == verdicts[2] == "partly stable"
    assert 3 not in verdicts  # it says less than a twentieth of a nat
    assert [axis.subspace for axis in axes] == [1, 1, 0]
    # One seed of three that found nothing of it changes no verdict, nor does one that found all.
    stranger = codes_of(torch.randn(2000, 4, generator=generator))
    assert axes_of(mine, [stranger, other, other], [slice(0, 1)])[0].verdict == "stable"
    assert axes_of(mine, [stranger, mine, stranger], [slice(0, 1)])[0].verdict == "not stable"


def test_one_image_coded_far_finer_than_all_others_is_no_obstacle():
    """As noise among drawings is: entropies are exact down to 2e-6 of the spread."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(500, 2, generator=generator)
    log_std = torch.full_like(mean, -2.0)
    plain = latent_information(Codes(mean, log_std))
    # Its neighbours leave no gap at which the finest could be set apart.
    odd = log_std.index_put((torch.tensor([0]), torch.tensor([0])), torch.tensor(-20.0))
    with pytest.raises(ValueError, match="narrowest"):
        marginal_entropies(mean, odd)
    found = latent_information(Codes(mean, odd))
    assert plain[0] < found[0] < plain[0] + 20 / 500
    assert found[1] == plain[1]
    assert latent_information(Codes(torch.zeros_like(mean), odd)).isfinite().all()


@pytest.mark.parametrize(
    ("agreement", "verdict"),
    [(0.796, "stable"), (0.794, "partly stable"), (0.596, "partly stable"), (0.594, "not stable")],
)
def test_verdicts_follow_the_agreement_as_it_is_shown(agreement, verdict):
    assert Axis(0, 0, 1.0, agreement, 3, 3).verdict == verdict


def test_the_most_telling_axis_of_a_subspace_comes_first():
    mean = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    codes = codes_of(mean * torch.tensor([1.0, 3.0, 2.0]))
    assert [axis.latent for axis in axes_of(codes, [codes], [slice(0, 3)])] == [1, 2, 0]


def test_information_of_a_normal_channel():
    """log(1 + signal / noise) / 2 nats for normal codes of known noise."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(20_000, 1, generator=generator)
    (axis,) = axes_of(codes_of(mean), [codes_of(mean)], [slice(0, 1)])
    assert axis.information == pytest.approx(0.5 * np.log1p(np.exp(6.0)), abs=0.02)
    assert axis.agreement == pytest.approx(1.0)


def seeds_of(beta, stable, agreement, tmp_path, used=4, dependence=0.1):
    """Candidates of one β, with the number of stable axes and the agreement of each seed."""
    return [
        Candidate(
            Run(tmp_path, RunConfig(seed=seed, objective=BetaVAE(beta))),
            codes_of(torch.zeros(1, 1)), used, -1.0, 1.0, n, share, dependence,
        )
        for seed, (n, share) in enumerate(zip(stable, agreement, strict=True))
    ]  # fmt: skip


def test_the_choice_is_the_beta_and_then_the_seed_that_share_the_most_axes(tmp_path):
    few = seeds_of(1.0, (2, 2, 2, 6), (0.9, 0.9, 0.9, 0.9), tmp_path)
    many = seeds_of(4.0, (3, 4, 4, 0), (0.9, 0.7, 0.8, 0.9), tmp_path)
    same = seeds_of(8.0, (4, 3, 3, 4), (0.8, 0.9, 0.9, 0.95), tmp_path)
    lonely = seeds_of(16.0, (9, 9), (1.0, 0.9), tmp_path, used=1)
    assert choose([*few, *many]) is many[2]
    assert choose([*many, *few, *same]) is same[3]
    assert choose([*few, *lonely]) is few[3]
    assert choose(lonely) is lonely[0]
    with pytest.raises(ValueError, match="learned anything"):
        choose(seeds_of(32.0, (0, 0), (0.0, 0.0), tmp_path, used=0))


def test_of_two_beta_whose_seeds_agree_as_well_the_one_of_less_dependence_is_chosen(tmp_path):
    fine = seeds_of(4.0, (4, 4, 4), (0.99, 0.98, 0.99), tmp_path, dependence=0.05)
    coarse = seeds_of(16.0, (4, 4, 4), (1.0, 0.99, 0.99), tmp_path)
    assert choose([*fine, *coarse]) is fine[0]
    split = seeds_of(4.0, (4, 4, 4), (0.99, 0.85, 0.99), tmp_path, dependence=0.05)
    assert choose([*split, *coarse]) is coarse[0]
    fewer = seeds_of(4.0, (3, 3, 4), (1.0, 1.0, 1.0), tmp_path, dependence=0.05)
    assert choose([*fewer, *coarse]) is coarse[0]


def test_peers_share_beta_and_are_others(tmp_path):
    weak, strong = (seeds_of(beta, (1, 1), (0.5, 0.5), tmp_path) for beta in (1.0, 4.0))
    (peer,) = peers_of(weak[0], [*weak, *strong])
    assert peer is weak[1].codes


def test_agreement_is_among_seeds_of_one_beta(tmp_path):
    """With every other seed of one β; a β with a single finished seed tells nothing."""
    draw(tmp_path / "images", 24)
    given = {"prior": "2.1[6*2]", "beta": (1.0, 4.0), "seeds": 2, "size": 16, "steps": 100}
    out = tmp_path / "out"
    found = fit(tmp_path / "images", out, workers=2, **given).candidates
    assert [(one.beta, one.seed) for one in found] == [(1, 0), (1, 1), (4, 0), (4, 1)]
    for pair in (found[:2], found[2:]):
        for one, other in (pair, pair[::-1]):
            matched = partner_correlations(one.codes, other.codes)
            assert one.stable == (matched.round(2) >= 0.8).sum()
            stable = matched[matched.round(2) >= 0.8]
            assert one.agreement == pytest.approx(stable.mean() if len(stable) else 0.0)
            assert (one.dependence > 0) == (one.stable > 1)
    shutil.rmtree(found[0].run.path)
    left = candidates(StudyDirectory(out / "study"), load(f"{out / 'images.npy'}[axes=chw]"))
    assert [(one.beta, one.seed) for one in left] == [(4, 0), (4, 1)]


@pytest.mark.slow  # `tests.campaign.kills` kills `fit`, too
def test_a_kill_in_the_middle_costs_nothing(tmp_path):
    """Killed while it trains, the same command again goes on from what is there."""
    draw(tmp_path / "images", 24)
    out = tmp_path / "out"
    words = ["fit", str(tmp_path / "images"), "--out", str(out), *SMALL, "--steps", "400"]
    script = f"import sys; from isavae.cli import main; sys.exit(main({words!r}))"
    first = subprocess.Popen(
        [sys.executable, "-c", script], start_new_session=True, stdout=subprocess.DEVNULL
    )
    while not [*out.glob("study/runs/*/log.jsonl")]:
        assert first.poll() is None
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (out / "report.html").exists()
    assert main(words) == 0
    assert (out / "report.html").is_file()
    assert not [*out.rglob("*.tmp")]


@pytest.mark.slow
def test_killed_three_times_it_ends_as_if_undisturbed(tmp_path):
    """Killed at random moments of its time: the same model, codes and report in the end."""
    draw(tmp_path / "images", 200)
    seed = time.time_ns()
    print(f"seed of the moments: {seed}")  # pytest shows it when the test fails
    moments = random.Random(seed)
    steps = ["--size", "16", "--steps", "800", "--seeds", "2", "--beta", "2", "8", "--workers", "2"]

    def start(out):
        words = ["fit", str(tmp_path / "images"), "--out", str(tmp_path / out), *steps]
        script = f"import sys; from isavae.cli import main; sys.exit(main({words!r}))"
        return subprocess.Popen([sys.executable, "-c", script], start_new_session=True)

    began = time.monotonic()
    assert start("whole").wait() == 0
    took = time.monotonic() - began
    kills = 0
    while kills < 3:
        process = start("killed")
        try:
            assert process.wait(moments.uniform(0, took)) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        else:
            shutil.rmtree(tmp_path / "killed")  # it was faster than the kill
    assert start("killed").wait() == 0
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for name in ("codes.csv", "codes.parquet"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    ones, others = (load_file(out / "model.safetensors") for out in (whole, killed))
    assert ones.keys() == others.keys()
    assert all(torch.equal(ones[name], others[name]) for name in ones)
    # The forecast of the time is measured anew.
    pages = [
        re.sub(r"<li>4 runs of 800 steps: [^<]+</li>", "", (out / "report.html").read_text())
        for out in (whole, killed)
    ]
    assert pages[0] == pages[1]
    assert "800 steps" not in pages[0]


@pytest.mark.slow
def test_the_choice_without_labels_is_in_the_upper_half(tmp_path):
    """A few hundred images whose factors are revealed only after the choice."""
    data = draw(tmp_path / "images", 400)
    fitted = fit(tmp_path / "images", tmp_path / "out", 3600.0, workers=1, steps=2000)
    coded = [Codes(one.codes.mean, one.codes.log_std, data.grid) for one in fitted.candidates]
    migs = [mig(codes).value for codes in coded]
    assert len(migs) == 8
    assert migs[fitted.candidates.index(fitted.chosen)] >= np.median(migs)


def test_dependence_is_the_mutual_information_of_ranks():
    """Of independent latents the bias of bins, (k - 1)^2 / 2n; of equal ones log k."""
    means = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    assert _dependence(means) == pytest.approx(11**2 / 40_000, rel=0.3)
    assert _dependence(means[:, [0, 0]].exp()) == pytest.approx(math.log(12), abs=1e-3)
    assert _dependence(means[:, :1]) == 0.0
