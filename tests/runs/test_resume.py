"""A run killed by SIGKILL at a random moment goes on bit for bit: weights, optimisers, log."""

import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from isavae.runs import Run, RunConfig, execute

pytestmark = pytest.mark.system

SETTINGS = {"data": "dsprites16[shape=heart, scale=0, orientation=0]", "steps": 24}
SETTINGS |= {"batch_size": 32, "width": 32, "precision": "float32"}
FACTOR_VAE = {"name": "factor-vae", "discriminator_width": 16, "discriminator_decay": 0.5}
KINDS = {
    "beta-vae": {"prior": "2.1[2.2*2, 2.2*2]"},
    "factor-vae": {"prior": "normal", "n_latents": 4, "objective": FACTOR_VAE},
    "control-vae": {
        "prior": "6[6*2, 6*2]",
        "objective": {"name": "control-vae", "capacity_steps": 10, "integral": 0.01},
    },
    "learned exponents": {
        "prior": "2.1[2*2, 2*2]",
        "learn_exponents": True,
        "prior_learning_rate": 0.05,
        "objective": {"name": "beta-tcvae", "warmup": 20},
    },
}

# It waits for the signal five steps beyond the step at which it is sent.
CHILD = """
import sys, time
from isavae.runs import Run, execute
last = int(sys.argv[2]) + 5
wait = lambda step, steps, values: time.sleep(3600 if step == last else 0)
execute(Run.open(sys.argv[1]), log_every=1, checkpoint_seconds=0.0, on_step=wait)
"""


def contents(run):
    """All that training leaves, in the weights, in the checkpoint and in the log."""
    lines = [{**line, "seconds": 0} for line in run.log() if "loss" in line]
    state = torch.load(run.state_path, weights_only=True)
    assert (state.pop("device"), state.pop("precision")) == ("cpu", "float32")
    del state["kernels"]
    return {
        "weights": load_file(run.model_path),
        "state": state,
        "log": lines,
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    runs = {}
    for kind, settings in KINDS.items():
        path = tmp_path_factory.mktemp("undisturbed") / "run"
        runs[kind] = Run.create(path, RunConfig.parse(SETTINGS | settings))
        execute(runs[kind], log_every=1)
    return runs


def kill_during_training(run, step):
    """Train in another process, which is killed at some moment after that step is in the log."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(run.path), str(step)])
    while child.poll() is None and (not (log := run.log()) or log[-1]["step"] < step):
        time.sleep(0.001)
    time.sleep(random.random() * 0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("kind", KINDS)
def test_sigkill_and_resume_give_the_same_bits(kind, undisturbed, tmp_path):
    whole = undisturbed[kind]
    run = Run.create(tmp_path / "killed", whole.config)
    kill_during_training(run, step=random.randint(1, 15))
    assert execute(run, log_every=1)
    torch.testing.assert_close(contents(run), contents(whole), rtol=0, atol=0, equal_nan=True)


def test_what_is_compared_has_all_that_learns(undisturbed):
    """The discriminator, its optimiser, the exponents and their optimiser's group have moved."""
    state = contents(undisturbed["factor-vae"])["state"]
    companion = state["companion"]
    assert companion["_extra_state"]["state"][0]["step"] == SETTINGS["steps"]
    assert companion["_extra_state"]["param_groups"][0]["lr"] < 1e-4
    controlled = contents(undisturbed["control-vae"])
    assert controlled["state"]["companion"]["summed"] > 0
    assert len({line["beta"] for line in controlled["log"]}) == SETTINGS["steps"]
    learned = contents(undisturbed["learned exponents"])
    groups = learned["state"]["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == [1e-3, 0.05]
    assert learned["state"]["optimizer"]["state"][groups[1]["params"][0]]["exp_avg"].any()
    exponents = [(line["p1"], line["p2"]) for line in learned["log"]]
    assert exponents[0] == pytest.approx((2.0, 2.0))
    assert len(set(exponents)) == SETTINGS["steps"]
