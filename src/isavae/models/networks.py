"""Encoders and decoders by image shape and latent width (appendix A.4)."""

from collections.abc import Callable
from itertools import pairwise
from math import prod

from jaxtyping import Float
from torch import Tensor, nn

ImageShape = tuple[int, int, int]


class MLPEncoder(nn.Sequential):
    """The paper's encoder D-1200-1200-2n with ReLU: image to mean and log-std (A.4).

    Args:
        shape: (channels, height, width) of an image; D is their product.
        latent: number of latents n.
        hidden: widths of the hidden layers.
    """

    def __init__(self, shape: ImageShape, latent: int, hidden: tuple[int, ...] = (1200, 1200)):
        super().__init__(
            nn.Flatten(),
            *_dense((prod(shape), *hidden), nn.ReLU),
            nn.Linear(hidden[-1], 2 * latent),
        )


class MLPDecoder(nn.Sequential):
    """The paper's decoder n-1200-1200-1200-D with tanh: latents to likelihood parameters (A.4).

    Args:
        shape: (channels, height, width) of the decoder's output.
        latent: number of latents n.
        hidden: widths of the hidden layers.
    """

    def __init__(
        self, shape: ImageShape, latent: int, hidden: tuple[int, ...] = (1200, 1200, 1200)
    ):
        super().__init__(
            *_dense((latent, *hidden), nn.Tanh),
            nn.Linear(hidden[-1], prod(shape)),
            nn.Unflatten(-1, shape),
        )


def _dense(widths: tuple[int, ...], activation: Callable[[], nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), activation()]
    return layers


def _mlp(
    shape: ImageShape, outputs: int, latent: int, width: int | None
) -> tuple[nn.Module, nn.Module]:
    channels, height, width_in_pixels = shape
    hidden = width or 1200
    decoded = (channels * outputs, height, width_in_pixels)
    return MLPEncoder(shape, latent, (hidden,) * 2), MLPDecoder(decoded, latent, (hidden,) * 3)


Builder = Callable[[ImageShape, int, int, int | None], tuple[nn.Module, nn.Module]]
NETWORKS: dict[str, Builder] = {"mlp": _mlp}


def build_networks(
    name: str, shape: ImageShape, latent: int, outputs: int = 1, width: int | None = None
) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of a named architecture.

    Args:
        name: a key of `NETWORKS`.
        shape: (channels, height, width) of an image.
        latent: number of latents.
        outputs: parameters of the likelihood per pixel and channel.
        width: units of a hidden layer; the architecture's own (the paper's) if left out.

    Raises:
        ValueError: for an unknown name.

    >>> encoder, decoder = build_networks("mlp", (1, 64, 64), latent=20)
    >>> sum(p.numel() for p in encoder.parameters()), sum(p.numel() for p in decoder.parameters())
    (6405640, 7826896)
    """
    if name not in NETWORKS:
        raise ValueError(f"a network must be one of {', '.join(NETWORKS)}; got {name!r}")
    return NETWORKS[name](shape, outputs, latent, width)


def split_encoding(
    encoding: Float[Tensor, "batch two_latents"],
) -> tuple[Float[Tensor, "batch latents"], Float[Tensor, "batch latents"]]:
    """Mean and log-std from an encoder's output."""
    mean, log_std = encoding.chunk(2, dim=-1)
    return mean, log_std
