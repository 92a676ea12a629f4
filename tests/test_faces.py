"""What a newcomer would type first works, and `import isavae` stays light."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import isavae

DATA = "dsprites16[shape=heart, scale=0, orientation=0]"


def test_every_name_is_there_and_listed():
    for name in isavae.__all__:
        assert getattr(isavae, name) is not None
    assert set(dir(isavae)) == set(isavae.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Lpnested'"):
        isavae.Lpnested  # noqa: B018


def test_first_lines_of_a_newcomer():
    from isavae import LpNested

    assert LpNested("2[2*2, z]").sample((5,)).shape == (5, 3)
    assert isavae.metrics.mig is isavae.metrics.METRICS["mig"].function
    data = isavae.data.load(DATA)
    config = isavae.RunConfig(data=DATA, prior="2[2*2, z]", width=8)
    model = isavae.runs.build_model(config, data.shape)
    assert {"mig", "reconstruction", "kl"} <= set(isavae.evaluate(model, data))
    trained = isavae.TrainedModel(model, config, data.shape)
    mean, _ = trained.encode(np.zeros((2, 1, 16, 16)))
    assert torch.equal(trained.decode(mean.numpy()), trained.decode(mean))


def test_import_isavae_imports_nothing_heavy():
    script = (
        "import sys, isavae; dir(isavae);"
        "assert not {'torch', 'numpy', 'pydantic', 'tyro', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
