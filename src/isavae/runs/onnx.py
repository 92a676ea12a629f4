"""ONNX: encoder and decoder as two files that run without torch, checked against torch."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from isavae.files import atomic_write
from isavae.models import VAE
from isavae.runs.trained_model import TrainedModel

# Two implementations of the same float32 sums add in different orders.
TOLERANCE = 1e-4


@final
@dataclass(frozen=True)
class OnnxFiles:
    """What `export_onnx` wrote, and by how much onnxruntime and torch differ on random input.

    The decoder gives the mean of p(x|z).

    Attributes:
        encoder: "image" (batch, channels, height, width) -> "mean", "log_std" (batch, latents).
        decoder: "code" (batch, latents) -> "image" (batch, channels, height, width).
        encoder_error: The largest absolute difference of the encoder's outputs.
        decoder_error: The same of the decoder's.
    """

    encoder: Path
    decoder: Path
    encoder_error: float
    decoder_error: float


@final
class Encoder(nn.Module):
    """Images to mean and log-std of q(z|x), for `torch.export`."""

    def __init__(self, vae: VAE):
        super().__init__()
        self.vae = vae

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.vae.moments(image)


@final
class Decoder(nn.Module):
    """Codes to the mean of p(x|z), for `torch.export`."""

    def __init__(self, vae: VAE):
        super().__init__()
        self.vae = vae

    def forward(self, code: Tensor) -> Tensor:
        return self.vae.decode(code).mean


def export_onnx(model: TrainedModel, folder: str | os.PathLike[str]) -> OnnxFiles:
    """Write `encoder.onnx` and `decoder.onnx`, and check both in onnxruntime on random input.

    Args:
        model: The model; the files take batches of any size.
        folder: The folder to write to.

    Raises:
        ArithmeticError: If onnxruntime gives other numbers than torch.
    """
    folder = Path(folder)
    vae = model.vae.cpu().eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(5, *model.shape, generator=generator)
    codes = torch.randn(5, vae.prior.n_latents, generator=generator)
    encoder, decoder = folder / "encoder.onnx", folder / "decoder.onnx"
    return OnnxFiles(
        encoder,
        decoder,
        _write(Encoder(vae), "image", images, ["mean", "log_std"], encoder),
        _write(Decoder(vae), "code", codes, ["image"], decoder),
    )


def _write(
    module: nn.Module, source: str, example: Tensor, results: list[str], path: Path
) -> float:
    """Export one network; returns its error on the example."""
    with _quiet():
        batch = torch.export.Dim("batch")
        program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
        exported = torch.onnx.export(
            program,
            (example,),
            dynamo=True,
            input_names=[source],
            output_names=results,
            verbose=False,
        )
    assert exported is not None  # it is with dynamo=True
    serialised = exported.model_proto.SerializeToString()
    with atomic_write(path) as file:
        file.write(serialised)
    return _error(module, source, example, path)


@torch.no_grad()
def _error(module: nn.Module, source: str, example: Tensor, path: Path) -> float:
    """The largest difference between onnxruntime and torch, for batches of several sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (example, example[:1], example.repeat(3, *[1] * (example.ndim - 1))):
        expected = module(batch)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for ours, theirs in zip(expected, session.run(None, {source: batch.numpy()}), strict=True):
            worst = max(worst, float(np.abs(ours.numpy() - theirs).max()))
    if not worst <= TOLERANCE:
        raise ArithmeticError(
            f"onnxruntime must give what torch gives, within {TOLERANCE}; {path} differs by {worst}"
        )
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about its internals and about packages that are not used."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
