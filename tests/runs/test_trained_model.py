"""Models that travel: one file, another environment, the Hub's protocol, ONNX."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from threading import Thread

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from isavae.cli import main
from isavae.data import Preprocessing, load
from isavae.estimator import ISAVAE
from isavae.models import NETWORKS
from isavae.runs import (
    Run,
    RunConfig,
    TrainedModel,
    build_model,
    execute,
    export_onnx,
)

ROOT = Path(__file__).parents[2]
SHAPE = (1, 16, 16)
DATA = "dsprites16[shape=heart, scale=0, orientation=0]"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = RunConfig(data=DATA, prior="2.1[2.2*2, 3*3]", width=24, steps=5, batch_size=32)
    run = Run.create(tmp_path_factory.mktemp("sharing") / "run", config)
    execute(run)
    run.write_scores(
        {"mig": {"value": 0.25}, "reconstruction": {"value": -9.5, "standard_error": 0.25}}
    )
    return run


@pytest.fixture(scope="module")
def model(run):
    return TrainedModel.from_run(run)


@pytest.fixture(scope="module")
def images():
    return load(DATA).batch(range(20))


def assert_same(a, b, images):
    assert (a.config, a.shape, a.facts) == (b.config, b.shape, b.facts)
    for ours, theirs in zip(a.encode(images), b.encode(images), strict=True):
        assert torch.equal(ours, theirs)


def test_one_file_holds_everything(model, run, images, tmp_path):
    model.save(tmp_path / "one.safetensors")
    assert_same(TrainedModel.load(tmp_path / "one.safetensors"), model, images)
    from_weights = TrainedModel.load(run.model_path)  # what training itself wrote
    assert torch.equal(from_weights.encode(images)[0], model.encode(images)[0])
    with torch.no_grad():
        mean, log_std = run.load_model().moments(images)
    assert torch.equal(model.encode(images)[0], mean)
    assert torch.equal(model.encode(images)[1], log_std)
    assert model.scores["mig"]["value"] == 0.25


def test_weights_in_half_precision_take_half_the_bytes(model, run, images, tmp_path):
    whole, halved = tmp_path / "whole.safetensors", tmp_path / "halved.safetensors"
    model.save(whole)
    main(["export", str(run.path), "--out", str(halved), "--half"])
    assert halved.stat().st_size < 0.6 * whole.stat().st_size
    loaded = TrainedModel.load(halved)
    for name, value in loaded.vae.state_dict().items():
        before = model.vae.state_dict()[name]
        networks = name.startswith(("encoder.", "decoder."))
        assert value.dtype == before.dtype
        assert torch.equal(value, before.half().to(before.dtype) if networks else before)
    torch.testing.assert_close(loaded.encode(images), model.encode(images), atol=5e-3, rtol=5e-3)


def test_half_precision_refuses_what_it_cannot_hold(run, tmp_path, capsys):
    large = TrainedModel.from_run(run)
    with torch.no_grad():
        next(large.vae.encoder.parameters()).fill_(1e5)
    with pytest.raises(ValueError, match=r"must lie within ±65,504 .* has 1e\+05"):
        large.save(tmp_path / "large.safetensors", half=True)
    assert not [*tmp_path.iterdir()]
    words = ["export", str(run.path), "--out", str(tmp_path / "onnx"), "--format", "onnx"]
    assert main([*words, "--half"]) == 2
    assert "leave --half out" in capsys.readouterr().err


def test_a_sample_is_decoded_draws_of_the_prior(model):
    state = torch.get_rng_state()
    assert model.sample(4, seed=1).shape == (4, *SHAPE)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model.sample(4, seed=1), model.sample(4, seed=1))
    assert not torch.equal(model.sample(4, seed=1), model.sample(4, seed=2))


def test_the_preprocessing_stays_with_the_model(model, tmp_path):
    channels, height, width = SHAPE
    assert model.preprocessing == Preprocessing((height, width), "crop", channels)
    how = Preprocessing((height, width), "pad", channels)
    told = TrainedModel(model.vae, model.config, SHAPE, {"preprocessing": how.to_dict()})
    told.save(tmp_path / "one.safetensors")
    TrainedModel.load(tmp_path / "one.safetensors").save(tmp_path / "two.safetensors")
    assert TrainedModel.load(tmp_path / "two.safetensors").preprocessing == how


def test_images_and_codes_may_be_arrays_of_floats_or_bytes(model, images):
    as_bytes = (images * 255).round().to(torch.uint8)
    images = as_bytes.float() / 255
    for given in (images.numpy(), images.double().numpy(), as_bytes, as_bytes.numpy()):
        assert torch.equal(model.encode(given)[0], model.encode(images)[0])
    codes = model.encode(images)[0]
    assert torch.equal(model.decode(codes.double().numpy()), model.decode(codes))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_scikit_learn_model_travels_too(images, tmp_path):
    rows = images.flatten(1).numpy()
    settings = {"width": 24, "max_iter": 3, "image_shape": SHAPE, "random_state": 0}
    estimator = ISAVAE((2, 3), p=(2.0, 3.0), **settings).fit(rows)
    estimator.trained_.save(tmp_path / "one.safetensors")
    loaded = TrainedModel.load(tmp_path / "one.safetensors")
    assert loaded.facts == {"step": 3, "steps": 3}
    mean, _ = loaded.encode(images)
    torch.testing.assert_close(mean, torch.from_numpy(estimator.transform(rows)))


STRANGER = """
import sys

class Without:
    def __init__(self, finder, refused):
        self.finder, self.refused = finder, refused

    def __getattr__(self, name):  # what finds the metadata of packages
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.refused:
            return None
        return self.finder.find_spec(name, path, target)

refused = set(sys.argv[3].split())
sys.meta_path[:] = [Without(finder, refused) for finder in sys.meta_path]
import torch
from isavae.runs import TrainedModel
model = TrainedModel.load(sys.argv[1])
torch.save(model.decode(torch.load(sys.argv[2])), sys.argv[2] + ".decoded")
"""


def needed(name, found=frozenset()):
    """The distributions that one needs without its extras, itself among them."""
    name = canonicalize_name(name)
    if name in found:
        return found
    found |= {name}
    for requirement in map(Requirement, requires(name) or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found = needed(requirement.name, found)
    return found


@pytest.mark.system
def test_another_environment_without_the_extras_loads_it(model, tmp_path):
    """Every module that a plain installation does not bring is refused as not installed."""
    base = needed("isavae")
    refused = {
        module
        for module, names in packages_distributions().items()
        if not base & {canonicalize_name(name) for name in names}
    }
    assert refused >= {"sklearn", "PIL", "polars", "huggingface_hub", "onnxruntime", "scipy"}
    assert not refused & {"torch", "numpy", "safetensors", "isavae"}
    model.save(tmp_path / "one.safetensors")
    codes = torch.randn(3, 5)
    torch.save(codes, tmp_path / "codes")
    words = [str(tmp_path / "one.safetensors"), str(tmp_path / "codes"), " ".join(refused)]
    subprocess.run([sys.executable, "-c", STRANGER, *words], check=True, cwd=tmp_path)
    decoded = torch.load(tmp_path / "codes.decoded")
    torch.testing.assert_close(decoded, model.decode(codes), atol=1e-6, rtol=0)


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_onnx_gives_what_torch_gives(network, tmp_path):
    shape = SHAPE if network == "mlp" else (1, 32, 32)
    config = RunConfig(prior="2.1[2.2*2, 3*3]", width=24, network=network)
    model = TrainedModel(build_model(config, shape), config, shape)
    files = export_onnx(model, tmp_path)
    assert files.encoder.is_file()
    assert files.decoder.is_file()
    assert max(files.encoder_error, files.decoder_error) < 1e-5


def test_the_program_of_the_page_encodes_as_the_model_does(
    run, model, images, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.path, tmp_path / "runs" / "first")
    page = (ROOT / "docs" / "how-to" / "onnx.md").read_text(encoding="utf-8")
    program = page.partition("```py\n")[2].partition("```")[0]
    made = {"images": images.numpy()}
    exec(compile(program, "onnx.md", "exec"), made)
    for ours, theirs in zip(model.encode(images), (made["mean"], made["log_std"]), strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=0, atol=1e-4)


def test_an_onnx_file_that_differs_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr("isavae.runs.onnx.TOLERANCE", -1.0)
    with pytest.raises(ArithmeticError, match="what torch gives"):
        export_onnx(model, tmp_path)


def test_the_card_says_what_the_model_is(model, tmp_path):
    model.save_pretrained(tmp_path, "someone/hearts")
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: isavae\n")
    assert "# hearts\n" in card
    assert 'from_pretrained("someone/hearts")' in card
    assert "| 2 | z3 to z5 | 3 |" in card
    assert "| mig | 0.25 |" in card
    assert "| reconstruction | -9.50 ± 0.25 nats |" in card
    assert "| steps | `5` |" in card
    assert "| weights of the objective | KL × 1 |" in card


def test_a_folder_is_a_repository_without_the_hub(model, images, tmp_path):
    folder = model.save_pretrained(tmp_path / "hearts")
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "model.safetensors"]
    assert_same(TrainedModel.from_pretrained(folder), model, images)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's protocol as creating, committing to and reading a repository takes."""

    files: dict[str, bytes]
    visibility: list[str | None]

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/repos/create"):
            wanted = json.loads(body)
            name = wanted["name"]
            older = "private" if wanted.get("private") else None  # as clients before 1.0 say it
            self.visibility.append(wanted.get("visibility", older))
            return self.answer({"url": f"http://{self.headers['Host']}/someone/{name}"})
        if "/preupload/" in self.path:
            listed = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self.answer({"files": listed})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.files[line["value"]["path"]] = content
            commit = f"http://{self.headers['Host']}/someone/hearts/commit/{'c' * 40}"
            return self.answer({"commitOid": "c" * 40, "commitUrl": commit})
        return self.answer({"errors": [], "warnings": []})

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        content = self.files.get(self.path.split("/resolve/main/")[-1])
        if content is None:
            return self.answer({"error": "not found"}, 404)
        return self.answer(content)

    def answer(self, content, status=200):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub():
    handler = type("Repository", (Hub,), {"files": {}, "visibility": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.files, handler.visibility
    server.shutdown()
    server.server_close()


def visitor(script, home, **environment):
    """Run a script in a process of its own: the Hub's client reads its settings when imported."""
    given = os.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"} | environment
    return subprocess.run(
        [sys.executable, "-c", script], env=given, capture_output=True, text=True, cwd=home
    )


@pytest.mark.slow
@pytest.mark.system
def test_push_pull_and_offline(model, images, hub, tmp_path):
    address, files, visibility = hub
    model.save(tmp_path / "one.safetensors")
    push = (
        "from isavae import TrainedModel;"
        "m = TrainedModel.load('one.safetensors');"
        "print(m.push_to_hub('someone/hearts', private=True, token='hf_none'))"
    )
    pushed = visitor(push, tmp_path, HF_ENDPOINT=address)
    assert pushed.stdout.strip() == f"{address}/someone/hearts/commit/{'c' * 40}", pushed.stderr
    assert visibility == ["private"]
    assert sorted(files) == ["README.md", "model.safetensors"]
    assert b'from_pretrained("someone/hearts")' in files["README.md"]
    pull = "from isavae import TrainedModel as M; M.from_pretrained({!r}).save('pulled')"
    offline = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "1"}
    before = visitor(pull.format("someone/hearts"), tmp_path, **offline)
    assert "a folder with a model.safetensors, or a model on the Hub" in before.stderr
    pulled = visitor(pull.format("someone/hearts"), tmp_path, HF_ENDPOINT=address)
    assert pulled.returncode == 0, pulled.stderr
    (tmp_path / "pulled").unlink()
    older = pull.format("someone/hearts").replace("hearts'", "hearts', revision='older'")
    missing = visitor(older, tmp_path, HF_ENDPOINT=address)
    assert "a model on the Hub that can be reached" in missing.stderr
    assert not (tmp_path / "pulled").exists()
    again = visitor(pull.format("someone/hearts"), tmp_path, **offline)
    assert again.returncode == 0, again.stderr
    assert_same(TrainedModel.load(tmp_path / "pulled"), model, images)
    refused = visitor(push, tmp_path, **offline)
    assert "OSError: someone/hearts cannot be uploaded to the Hub" in refused.stderr


@pytest.mark.system
def test_the_command_line_pushes_pulls_and_works_offline(run, hub, tmp_path):
    address, files, _ = hub
    spoken = "import sys; from isavae.cli import main; sys.exit(main({!r}))"
    online = {"HF_ENDPOINT": address, "HF_TOKEN": "hf_none"}
    offline = online | {"HF_HUB_OFFLINE": "1"}

    def say(words, **environment):
        return visitor(spoken.format([str(word) for word in words]), tmp_path, **environment)

    pushed = say(["push", run.path, "someone/hearts"], **online)
    assert (pushed.returncode, sorted(files)) == (0, ["README.md", "model.safetensors"])
    sampled = say(["sample", "hf://someone/hearts", "--n", "4"], **online)
    assert sampled.returncode == 0, sampled.stderr
    cached = say(
        ["export", "hf://someone/hearts", "--out", "card", "--format", "folder"], **offline
    )
    assert cached.returncode == 0, cached.stderr
    again = tmp_path / "again.safetensors"
    assert main(["export", str(tmp_path / "card"), "--out", str(again)]) == 0
    assert (tmp_path / "samples.png").is_file()
    assert (tmp_path / "card" / "README.md").is_file()
    assert TrainedModel.load(again).config == run.config


def test_bad_input_gets_a_sentence(model, tmp_path):
    with pytest.raises(ValueError, match="there is none at"):
        TrainedModel.load(tmp_path / "none.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="whole model file of isavae"):
        TrainedModel.from_pretrained(tmp_path)
    other = TrainedModel(model.vae, model.config.model_copy(update={"width": 8}), model.shape)
    other.save(tmp_path / "misfit.safetensors")
    with pytest.raises(ValueError, match="must fit the configuration in it"):
        TrainedModel.load(tmp_path / "misfit.safetensors")
    with pytest.raises(ValueError, match="resize them"):
        model.encode(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="one column per latent, 5; got 4"):
        model.decode(torch.zeros(1, 4))
