"""`isavae encode`, `decode`, `sample`, `export` and `push`: use and share a trained model."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from tyro.conf import Positional

from isavae.data import ImageDataset, Preprocessing, read_folder
from isavae.data.tiles import png, tile
from isavae.files import atomic_write
from isavae.fit.axes import axis_name
from isavae.fit.codes_table import codes_table, write_table
from isavae.metrics import Codes
from isavae.runs import TrainedModel, export_onnx


def encode(model: Positional[str], folder: Positional[Path], out: Path = Path("codes.csv")) -> None:
    """Write the codes of a folder of images: mean and standard deviation of every latent.

    Images are cropped, padded or stretched as those that the model was trained on.

    Args:
        model: a run, a model file, a folder of `isavae fit`, or "user/name" on the Hub.
        folder: the images; those in folders below it count.
        out: a .csv or .parquet file.
    """
    opened = TrainedModel.from_pretrained(model)
    stream = read_folder(folder, Preprocessing.of_model(opened.facts, opened.shape))
    images = ImageDataset(folder.name, np.concatenate([*stream.blocks]), stream.shape)
    for name, why in stream.left_out.items():
        print(f"left out: {name}: {why}")
    names = [stream.names[k] for k in stream.positions()]
    codes = Codes(*opened.encode(images.batch(slice(None))))
    write_table(codes_table(names, codes, opened.vae.prior.subspaces), out)
    print(f"{out}: codes of {len(names):,} images")


def decode(model: Positional[str], codes: Positional[Path], out: Path = Path("decoded")) -> None:
    """Decode a table of codes, as `isavae encode` writes it, to images.

    Args:
        model: A run, a model file, a folder of `isavae fit`, or "user/name" on the Hub.
        codes: A .csv or .parquet file with a column per latent, named as by `encode`.
        out: A folder; images are numbered by row, from 0.
    """
    opened = TrainedModel.from_pretrained(model)
    images = opened.decode(_read_codes(codes, opened))
    for row, image in enumerate(images):
        with atomic_write(out / f"{row:05d}.png") as file:
            file.write(png(tile(image[None], 1)))
    print(f"{out}: {len(images):,} images")


def sample(
    model: Positional[str], out: Path = Path("samples.png"), n: int = 64, seed: int = 0
) -> None:
    """Decode draws from the prior, side by side in one image file.

    Args:
        model: A run, a model file, a folder of `isavae fit`, or "user/name" on the Hub.
        out: The PNG file.
        n: Number of draws.
        seed: Seed of the draws.
    """
    images = TrainedModel.from_pretrained(model).sample(n, seed)
    with atomic_write(out) as file:
        file.write(png(tile(images, max(1, round(n**0.5)))))
    print(out)


def export(
    model: Positional[str],
    out: Path,
    format: Literal["safetensors", "folder", "onnx"] = "safetensors",
) -> None:
    """Write a model as one file, as a folder with its card, or as ONNX.

    Args:
        model: A run, a model file, a folder of `isavae fit`, or "user/name" on the Hub.
        out: The file, or for the other formats the folder.
        format: safetensors, folder (model file and card), or onnx (encoder and decoder).
    """
    opened = TrainedModel.from_pretrained(model)
    if format == "safetensors":
        opened.save(out)
        print(out)
    elif format == "folder":
        print(opened.save_pretrained(out))
    else:
        files = export_onnx(opened, out)
        print(f"{files.encoder}: differs from torch by at most {files.encoder_error:.1e}")
        print(f"{files.decoder}: differs from torch by at most {files.decoder_error:.1e}")


def push(model: Positional[str], repo: Positional[str], private: bool = False) -> None:
    """Upload a model and its card to the Hugging Face Hub.

    Args:
        model: A run, a model file, or a folder of `isavae fit`.
        repo: "user/name".
        private: Whether a new repository is private.
    """
    print(TrainedModel.from_pretrained(model).push_to_hub(repo, private=private))


def _read_codes(path: Path, model: TrainedModel) -> torch.Tensor:
    """The columns of a table that hold the means, in the order of the model's latents."""
    if path.suffix not in (".csv", ".parquet") or not path.is_file():
        raise ValueError(f"codes must be a .csv or .parquet file; got {path}")
    try:
        table = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} must be a table of codes; it cannot be read: {error}") from None
    subspaces = model.vae.prior.subspaces
    names = [axis_name(k, j) for k, s in enumerate(subspaces) for j in range(s.start, s.stop)]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path} must have a column per latent of the model, {', '.join(names)}; "
            f"it lacks {', '.join(missing)}"
        )
    try:
        return torch.from_numpy(table.select(names).cast(pl.Float32).to_numpy(writable=True))
    except pl.exceptions.PolarsError:
        raise ValueError(f"every code in {path} must be a number; some are not") from None
