"""How much of the images a model explains, beside what a linear model does."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import UInt8

from isavae.data.pixel_statistics import measure_pixels, measured_images
from isavae.evaluation import reconstruct
from isavae.models import VAE


@final
@dataclass(frozen=True)
class Explained:
    """Shares of the variance between images, on images that were trained on.

    Attributes:
        model: 1 - squared error of reconstructions / squared distance from the mean image.
        linear: The same of PCA with as many components as the model has latents in use.
    """

    model: float
    linear: float

    @property
    def is_enough(self) -> bool:
        """Whether the model explains at least as much as PCA, to whole percent."""
        return round(self.model, 2) >= round(self.linear, 2)


def explained(
    model: VAE, images: UInt8[np.ndarray, "n channels height width"], used: int
) -> Explained:
    """The shares of a model and of PCA.

    Args:
        model: The model.
        images: Images, of which at most 1,000 count, evenly spaced.
        used: The number of latents in use.
    """
    some = torch.from_numpy(measured_images(images).astype(np.float32) / 255)
    error = (reconstruct(model, some) - some).double().square().sum()
    spread = (some - some.mean(0)).double().square().sum()
    return Explained(1 - float(error / spread), measure_pixels(images).held_by(used))
