"""A model with all that it takes to rebuild it, as one `.safetensors` file."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.models import VAE
from isavae.runs import Run, RunConfig, build_model, read_model_metadata, save_model

BATCH = 4096


@final
@dataclass(frozen=True, eq=False)
class PortableModel:
    """A trained VAE, the configuration that rebuilds it, and what is known of it.

    Args:
        vae: the model.
        config: the configuration that `build_model` built it from.
        shape: (channels, height, width) of an image.
        facts: JSON-like values that go with it, such as its scores.

    Examples:
        >>> config = RunConfig(prior="2.1[2.2*2, 2.2*2]", width=16)
        >>> model = PortableModel(build_model(config, (1, 8, 8)), config, (1, 8, 8))
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "model.safetensors")
        >>> model.save(file)
        >>> PortableModel.load(file).decode(torch.zeros(3, 4)).shape
        torch.Size([3, 1, 8, 8])
    """

    vae: VAE
    config: RunConfig
    shape: tuple[int, int, int]
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_run(cls, run: Run) -> "PortableModel":
        """The model of a run directory, with its scores if it has some.

        Raises:
            ValueError: if the run has no weights yet.
        """
        metadata = run.metadata()
        kept = ("step", "steps", "preprocessing")
        facts = {name: metadata[name] for name in kept if name in metadata}
        if (scores := run.scores()) is not None:
            facts["scores"] = scores
        channels, height, width = metadata["shape"]
        return cls(run.load_model(), run.config, (channels, height, width), facts)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "PortableModel":
        """Read what `save` wrote, or the `model.safetensors` of a run, with nothing else at hand.

        Raises:
            ValueError: if there is no such file, or it is no model of isavae.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"a model must be a .safetensors file; there is none at {path}")
        facts = read_model_metadata(path)
        config = RunConfig.parse(facts.pop("config"))
        channels, height, width = facts.pop("shape")
        vae = build_model(config, (channels, height, width))
        try:
            vae.load_state_dict(safetensors.torch.load_file(path))
        except RuntimeError as error:
            raise ValueError(
                f"the weights in {path} must fit the configuration in it: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
        return cls(vae.eval(), config, (channels, height, width), facts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, configuration, image shape and facts as one file."""
        metadata = self.facts | {"config": self.config.settings(), "shape": self.shape}
        save_model(self.vae, Path(path), metadata)

    @torch.no_grad()
    def encode(
        self, images: Float[Tensor, "n channels height width"]
    ) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"]]:
        """Mean and log-std of q(z|x) of images in [0, 1].

        Raises:
            ValueError: if the images have another shape than the model's.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(
                f"images must have the model's shape {self.shape}; got {tuple(images.shape[1:])}: "
                "resize them"
            )
        self.vae.eval()
        blocks = [self.vae.moments(block.to(self._device)) for block in images.split(BATCH)]
        means, log_stds = zip(*blocks, strict=True)
        return torch.cat(means).cpu(), torch.cat(log_stds).cpu()

    @torch.no_grad()
    def decode(self, codes: Float[Tensor, "n latents"]) -> Float[Tensor, "n channels height width"]:
        """Mean of p(x|z) at codes.

        Raises:
            ValueError: if the codes have another width than the model's.
        """
        n_latents = self.vae.prior.n_latents
        if codes.shape[1] != n_latents:
            raise ValueError(
                f"codes must have one column per latent, {n_latents}; got {codes.shape[1]}"
            )
        self.vae.eval()
        blocks = [self.vae.decode(block.to(self._device)).mean for block in codes.split(BATCH)]
        return torch.cat(blocks).cpu()

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Float[Tensor, "n channels height width"]:
        """Mean images at n draws of the prior; torch's global state is kept."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            codes = self.vae.prior().sample(torch.Size([n]))
        return self.decode(codes)

    @property
    def _device(self) -> torch.device:
        return next(self.vae.parameters()).device
