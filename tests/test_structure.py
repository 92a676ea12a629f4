"""The promises of the layout that a machine can check."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system

OPTIONAL = (
    "h5py PIL scipy sklearn matplotlib polars jinja2 ray starlette uvicorn huggingface_hub "
    "requests tensorboard onnx onnxscript onnxruntime upath s3fs pandas"
).split()


def test_import_loads_no_optional_dependency():
    script = (
        "import sys, isavae, isavae.distributions, isavae.models, isavae.runs\n"
        f"loaded = [name for name in {OPTIONAL!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_import_loads_no_compiler():
    """`torch.compile`'s machinery takes two seconds to import, and most never use it."""
    script = (
        "import sys, isavae.distributions\n"
        "isavae.distributions.LpNested('2[2*2, z]').sample()\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
