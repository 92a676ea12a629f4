"""Encoders and decoders by image shape and latent width (appendix A.4)."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import prod
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

ImageShape = tuple[int, int, int]


class MLPEncoder(nn.Sequential):
    """The paper's encoder D-1200-1200-2n with ReLU: image to mean and log-std (A.4).

    Args:
        shape: (channels, height, width) of an image; D is their product.
        n_latents: Number of latents n.
        hidden: Widths of the hidden layers.
        activation: The nonlinearity after each of them.
    """

    def __init__(
        self,
        shape: ImageShape,
        n_latents: int,
        hidden: tuple[int, ...] = (1200, 1200),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ):
        super().__init__(
            nn.Flatten(),
            *_dense((prod(shape), *hidden), activation),
            nn.Linear(hidden[-1], 2 * n_latents),
        )


class MLPDecoder(nn.Sequential):
    """The paper's decoder n-1200-1200-1200-D with tanh: latents to likelihood parameters (A.4).

    Args:
        shape: (channels, height, width) of the decoder's output.
        n_latents: Number of latents n.
        hidden: Widths of the hidden layers.
        activation: The nonlinearity after each of them.
    """

    def __init__(
        self,
        shape: ImageShape,
        n_latents: int,
        hidden: tuple[int, ...] = (1200, 1200, 1200),
        activation: Callable[[], nn.Module] = nn.Tanh,
    ):
        super().__init__(
            *_dense((n_latents, *hidden), activation),
            nn.Linear(hidden[-1], prod(shape)),
            nn.Unflatten(-1, shape),
        )


def _dense(widths: tuple[int, ...], activation: Callable[[], nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), activation()]
    return layers


def _mlp(
    shape: ImageShape,
    parameters_per_pixel: int,
    n_latents: int,
    width: int | None,
    activations: tuple[Callable[[], nn.Module], ...] = (nn.ReLU, nn.Tanh),
) -> tuple[nn.Module, nn.Module]:
    hidden = width or 1200
    decoded = (shape[0] * parameters_per_pixel, *shape[1:])
    return (
        MLPEncoder(shape, n_latents, (hidden,) * 2, activations[0]),
        MLPDecoder(decoded, n_latents, (hidden,) * 3, activations[1]),
    )


@final
class ConvEncoder(nn.Module):
    """The published convolutional encoder, for any channels and size.

    Convolutions 4×4 of stride 2 halve the image to 4×4, one of 4×4 makes it a vector of 512, one of
    1×1 gives mean and log-std; batch normalisation and ReLU after each but the last. For 64×64 that
    is the published net. Images are padded with zeros, evenly on both sides, to the next square
    whose side is a power of two, at least 8.

    Args:
        shape: (channels, height, width) of an image.
        n_latents: Number of latents n.
        channels: Output channels of the first two halvings; later ones have twice as many.
    """

    def __init__(self, shape: ImageShape, n_latents: int, channels: int = 32):
        super().__init__()
        self.padding = _padding(shape)
        widths = [shape[0], *_halvings(shape, channels)]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += _normalised(nn.Conv2d(n_in, n_out, 4, stride=2, padding=1))
        layers += _normalised(nn.Conv2d(widths[-1], 16 * channels, 4))
        self.layers = nn.Sequential(
            *layers, nn.Conv2d(16 * channels, 2 * n_latents, 1), nn.Flatten()
        )
        # On the CPU a step is 1.3 times as fast as with channels first in float32, 1.1 times in
        # bfloat16, for 1 and for 3 channels: benchmarks/networks.py.
        self.layers.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch two_latents"]:
        padded = nn.functional.pad(x, self.padding)
        return self.layers(padded.contiguous(memory_format=torch.channels_last))


@final
class ConvDecoder(nn.Module):
    """The mirror image of `ConvEncoder`: latents to likelihood parameters, cropped to the image.

    Args:
        shape: (channels, height, width) of the decoder's output.
        n_latents: Number of latents n.
        channels: As for the encoder.
    """

    def __init__(self, shape: ImageShape, n_latents: int, channels: int = 32):
        super().__init__()
        self.crop = tuple(-side for side in _padding(shape))
        *widths, last = [*reversed(_halvings(shape, channels)), shape[0]]
        layers = _normalised(nn.ConvTranspose2d(n_latents, 16 * channels, 1))
        layers += _normalised(nn.ConvTranspose2d(16 * channels, widths[0], 4))
        for n_in, n_out in pairwise(widths):
            layers += _normalised(nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1))
        final = nn.ConvTranspose2d(widths[-1], last, 4, stride=2, padding=1)
        self.layers = nn.Sequential(nn.Unflatten(1, (n_latents, 1, 1)), *layers, final)
        self.layers.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]

    def forward(
        self, z: Float[Tensor, "batch latents"]
    ) -> Float[Tensor, "batch channels height width"]:
        return nn.functional.pad(self.layers(z), self.crop)


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


def _side(shape: ImageShape) -> int:
    """The power of two, at least 8, that an image is padded to."""
    return max(8, 1 << (max(shape[1:]) - 1).bit_length())


def _padding(shape: ImageShape) -> tuple[int, int, int, int]:
    """Columns and rows to add at the left, right, top and bottom."""
    _, height, width = shape
    rows, columns = _side(shape) - height, _side(shape) - width
    return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2


def _halvings(shape: ImageShape, channels: int) -> list[int]:
    """Output channels of each halving on the way from the side to 4."""
    count = (_side(shape) // 4).bit_length() - 1
    return [channels if i < 2 else 2 * channels for i in range(count)]


def _conv(
    shape: ImageShape, parameters_per_pixel: int, n_latents: int, width: int | None
) -> tuple[nn.Module, nn.Module]:
    decoded = (shape[0] * parameters_per_pixel, *shape[1:])
    return ConvEncoder(shape, n_latents, width or 32), ConvDecoder(decoded, n_latents, width or 32)


Builder = Callable[[ImageShape, int, int, int | None], tuple[nn.Module, nn.Module]]
# Every pair of networks by its name in settings: a function of (shape of an image, number of
# latents, channels per pixel that the likelihood takes, width or None) that returns both.
NETWORKS: dict[str, Builder] = {
    "mlp": _mlp,
    "mlp-silu": partial(_mlp, activations=(nn.SiLU, nn.SiLU)),
    "conv": _conv,
}


def build_networks(
    name: str,
    shape: ImageShape,
    n_latents: int,
    parameters_per_pixel: int = 1,
    width: int | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of a named architecture.

    Args:
        name: A key of `NETWORKS`.
        shape: (channels, height, width) of an image.
        n_latents: Number of latents.
        parameters_per_pixel: Parameters of the likelihood per pixel and channel.
        width: Units of a hidden layer, or channels of the first convolution; the architecture's
            own (the paper's) if left out.

    Raises:
        ValueError: For an unknown name.

    Examples:
        >>> networks = build_networks("mlp", (1, 64, 64), n_latents=20)
        >>> [sum(p.numel() for p in network.parameters()) for network in networks]
        [6405640, 7826896]
    """
    if name not in NETWORKS:
        raise ValueError(f"a network must be one of {', '.join(NETWORKS)}; got {name!r}")
    return NETWORKS[name](shape, parameters_per_pixel, n_latents, width)
