"""`TrainedModel`: a trained VAE, wherever it is: in a run, a file, a folder, or on the Hub."""

import os
import tempfile
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isavae.data import Preprocessing
from isavae.data.conversion import Collection, as_images
from isavae.evaluation import BATCH, decode_means, encode_blocks, sample_prior
from isavae.files import DamagedFileError, atomic_write
from isavae.models import VAE
from isavae.runs.card import model_card
from isavae.runs.config import RunConfig, name_without_folders
from isavae.runs.directory import Run
from isavae.runs.hub import MODEL_FILE, download, upload
from isavae.runs.latent_names import all_names
from isavae.runs.model_file import read_model, save_model
from isavae.runs.names_file import keep_in_step, names_beside


@final
@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel:
    """A trained VAE, the configuration that rebuilds it, and what is known about it.

    Images and codes may be tensors or NumPy arrays; results are tensors on the CPU.

    Args:
        vae: The model.
        config: The configuration that it was built from.
        shape: (channels, height, width) of an image.
        facts: JSON-like values that are kept in the model's file, such as "step", "scores", and
            "names" of latents, {"z5": "slant"}.

    Examples:
        >>> from isavae.runs import build_model
        >>> config = RunConfig(prior="2.1[2.2*2, 2.2*2]", width=16)
        >>> model = TrainedModel(build_model(config, (1, 8, 8)), config, (1, 8, 8))
        >>> file = Path(tempfile.mkdtemp(), "model.safetensors")
        >>> model.save(file)
        >>> TrainedModel.load(file).decode(np.zeros((3, 4))).shape
        torch.Size([3, 1, 8, 8])
        >>> model
        TrainedModel('2.1[2.2*2, 2.2*2]', 'beta-vae', shape=(1, 8, 8), latents=4)
    """

    vae: VAE
    config: RunConfig
    shape: tuple[int, int, int]
    facts: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        config, latents = self.config, self.vae.prior.n_latents
        names = f"{config.prior!r}, {config.objective.name!r}"
        return f"TrainedModel({names}, shape={self.shape}, latents={latents})"

    @classmethod
    def from_run(cls, run: Run) -> "TrainedModel":
        """The model of a run directory, with its scores if it has been evaluated.

        Raises:
            ValueError: If the run has no weights yet.
        """
        run.check_trained()
        model = replace(cls.load(run.model_path), config=run.config)  # images may have moved since
        try:
            scores = run.scores()
        except DamagedFileError as error:
            warnings.warn(f"{error}; the model has no scores meanwhile", stacklevel=2)
            return model
        if scores is not None:
            model.facts["scores"] = scores
        return model

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TrainedModel":
        """Read a file that `save` wrote, or the `model.safetensors` of a run.

        Raises:
            ValueError: If there is no such file, or it is no model file of isavae.
        """
        vae, facts = read_model(Path(path))
        config, (channels, height, width) = RunConfig.parse(facts.pop("config")), facts.pop("shape")
        if (beside := names_beside(Path(path), config)) is not None:
            facts["names"] = beside
        return cls(vae, config, (channels, height, width), facts)

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | None = None,
    ) -> "TrainedModel":
        """A model from wherever it is: a run, a model file, a folder, or the Hugging Face Hub.

        Args:
            name: A run directory, a `.safetensors` file, a folder that holds a `model.safetensors`,
                or "user/name" on the Hub; what was downloaded once is read from the Hub's cache.
            revision: A branch, tag or commit on the Hub.
            token: An access token for a private repository on the Hub.

        Raises:
            ValueError: If what is there is no model of isavae.
            OSError: If nothing is there, and the Hub has no such model or cannot be reached.
        """
        path = Path(name)
        if (path / "config.json").is_file():
            return cls.from_run(Run.open(path))
        if path.is_dir():
            return cls.load(path / MODEL_FILE)
        return cls.load(path if path.is_file() else download(str(name), revision, token))

    def save(self, path: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write weights, configuration without folders, image shape and facts as one file.

        Args:
            path: The file to write.
            half: Whether the weights of the networks are rounded to half precision, which halves
                the file. They are float32 again when the file is loaded.
        """
        config = self.config.without_folders().settings()
        metadata = self._shared_facts | {"config": config, "shape": self.shape}
        save_model(self.vae, Path(path), metadata, half)
        keep_in_step(Path(path), self.config, self.facts.get("names", {}))

    def save_pretrained(
        self, folder: str | os.PathLike[str], repo: str | None = None, *, half: bool = False
    ) -> Path:
        """Write `model.safetensors` and `README.md`, the model card: a repository of the Hub.

        Args:
            folder: The folder to write.
            repo: The name under which the card loads the model; by default the folder's name.
            half: Whether the weights are rounded to half precision, as by `save`.

        Returns:
            The folder.
        """
        folder = Path(folder)
        self.save(folder / MODEL_FILE, half=half)
        card = model_card(
            self.config.without_folders(),
            self.vae.prior,
            self.shape,
            self._shared_facts,
            repo=repo or folder.name,
        )
        with atomic_write(folder / "README.md") as file:
            file.write(card.encode())
        return folder

    def push_to_hub(self, repo: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the model file and its card, creating the repository if it does not exist.

        Args:
            repo: "user/name".
            private: Whether a new repository is private.
            token: An access token; by default the one that `hf auth login` stored.

        Returns:
            The URL of the commit.

        Raises:
            OSError: If the Hub cannot be reached or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            return upload(self.save_pretrained(folder, repo), repo, private, token)

    @property
    def _shared_facts(self) -> dict[str, Any]:
        """What is known about the model, without the folders of its images."""
        scores = self.scores
        if not scores or "data" not in scores:
            return self.facts
        return self.facts | {"scores": scores | {"data": name_without_folders(scores["data"])}}

    @property
    def scores(self) -> dict[str, Any] | None:
        """The scores of the run, if it had been evaluated."""
        return self.facts.get("scores")

    @property
    def names(self) -> list[str]:
        """The name of every latent: the one that the user gave it, or else "z5"."""
        return all_names(self.facts.get("names", {}), self.vae.prior.n_latents)

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image file becomes the model's input."""
        return Preprocessing.of_model(self.facts, self.shape)

    def encode(
        self, images: Collection
    ) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"]]:
        """Mean and log-std of q(z|x).

        Args:
            images: (n, channels, height, width), with values in [0, 1], or uint8 in 0..255; perhaps
                one by one in a list or generator, or Pillow images.

        Raises:
            ValueError: If the images do not have the model's shape, or other values.
        """
        images = _pixels(images)
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(
                f"images must have the model's shape {self.shape}; got {tuple(images.shape[1:])}: "
                "resize them, or give one image as images[None]"
            )
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        return encode_blocks(self.vae, scaled.split(BATCH))

    def decode(self, codes: Tensor | np.ndarray) -> Float[Tensor, "n channels height width"]:
        """Mean of p(x|z).

        Args:
            codes: (n, latents).

        Raises:
            ValueError: If the codes do not have one column per latent.
        """
        codes = _tensor(codes).float()
        n_latents = self.vae.prior.n_latents
        if codes.ndim != 2 or codes.shape[1] != n_latents:
            found = codes.shape[1] if codes.ndim == 2 else f"shape {tuple(codes.shape)}"
            raise ValueError(
                f"codes must have one column per latent, {n_latents}; got {found}: "
                "pass what `encode` or `transform` gives"
            )
        return decode_means(self.vae, codes)

    def sample(self, n: int, seed: int = 0) -> Float[Tensor, "n channels height width"]:
        """Mean images at n draws from the prior, a function of the seed only.

        Args:
            n: Number of draws.
            seed: Seed of the draws.
        """
        return decode_means(self.vae, sample_prior(self.vae, n, seed))


def _pixels(images: Collection) -> Tensor:
    """Images as a tensor of bool, uint8 or floats, with an axis of channels.

    Raises:
        ValueError: If they are of another type.
    """
    if not isinstance(images, Tensor):
        images = torch.tensor(as_images(images))
    if not images.is_floating_point() and images.dtype not in (torch.bool, torch.uint8):
        raise ValueError(
            f"images must be floats in [0, 1] or uint8; got {images.dtype}: divide them by the "
            "value of white"
        )
    return images[:, None] if images.ndim == 3 else images


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    return values if isinstance(values, Tensor) else torch.tensor(values)
