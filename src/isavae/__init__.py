"""isavae: VAEs whose latent variables mean something, by Lp-nested (subspace) priors.

Subpackages and the main objects are imported on first use:

>>> import isavae
>>> isavae.LpNested("2.1[2.2*4, 2.2*4]").sample((3,)).shape
torch.Size([3, 8])
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PACKAGES = (
    "blur",
    "data",
    "distributions",
    "estimator",
    "evaluation",
    "explorer",
    "figures",
    "fitting",
    "gpu_check",
    "metrics",
    "models",
    "report",
    "runs",
    "studies",
    "toys",
    "training",
)
# The main objects, and where each one is defined.
_OBJECTS = {
    "Codes": "metrics",
    "FactorGrid": "data",
    "ISAVAE": "estimator",
    "ImageDataset": "data",
    "LpNested": "distributions",
    "LpTree": "distributions",
    "Run": "runs",
    "RunConfig": "runs",
    "Study": "studies",
    "TrainedModel": "runs",
    "VAE": "models",
    "evaluate": "evaluation",
    "fit": "fitting",
    "load": "data",
}

__all__ = ["__version__", *_PACKAGES, *_OBJECTS]  # pyrefly: ignore[unsupported-dunder-all]


def __getattr__(name: str) -> Any:
    """Import a subpackage or an object on first use, as the Scientific Python SPEC 1 has it."""
    if name in _PACKAGES:
        return import_module(f"isavae.{name}")
    if name in _OBJECTS:
        return getattr(import_module(f"isavae.{_OBJECTS[name]}"), name)
    raise AttributeError(f"module 'isavae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
