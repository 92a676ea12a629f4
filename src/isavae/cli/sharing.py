"""`isavae encode`, `decode`, `sample`, `export` and `push`: use and share a trained model."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from isavae.cli.terminal import say
from isavae.data.tiles import write_tiles
from isavae.errors import counted
from isavae.fitting.codes_table import encode_images, read_codes, write_table
from isavae.runs import TrainedModel, export_onnx

# Begins the name of a model on the Hugging Face Hub.
HUB = "hf://"


def open_model(name: str) -> TrainedModel:
    """A model on this machine, or, where the name begins with hf://, on the Hugging Face Hub.

    Raises:
        ValueError: If there is nothing of that name on this machine.
    """
    if name.startswith(HUB):
        return TrainedModel.from_pretrained(name.removeprefix(HUB))
    if not Path(name).exists():
        raise ValueError(
            "a model must be a run, a model file, a folder of `isavae fit`, or hf://user/name on "
            f"the Hugging Face Hub; there is nothing at {name}"
        )
    return TrainedModel.from_pretrained(name)


def encode(model: Positional[str], images: Positional[str], out: Path = Path("codes.csv")) -> None:
    """Write the codes of images: mean and standard deviation of every latent.

    Images are cropped, padded or stretched as those that the model was trained on.

    Args:
        model: A run, a model file, a folder of `isavae fit`, or hf://user/name.
        images: A folder of images (folders within it count, too), an image, an array file, or
            the name of a data set.
        out: The file to write, .csv or .parquet.
    """
    opened = open_model(model)
    table, notes = encode_images(opened, images)
    for note in notes:
        say(note)
    write_table(table, out)
    say(f"{out}: codes of {counted(len(table), 'image')}")


def decode(model: Positional[str], codes: Positional[Path], out: Path = Path("decoded")) -> None:
    """Decode a table of codes, as `isavae encode` writes it, to images.

    Args:
        model: A run, a model file, a folder of `isavae fit`, or hf://user/name.
        codes: A .csv or .parquet file with a column per latent, named as by `encode`.
        out: The folder to write; images are numbered by row, from 0.
    """
    opened = open_model(model)
    images = opened.preprocessing.shown(opened.decode(read_codes(codes, opened.names)))
    for row, image in enumerate(images):
        write_tiles(out / f"{row:05d}.png", image[None])
    say(f"{out}: {counted(len(images), 'image')}")


def sample(
    model: Positional[str], out: Path = Path("samples.png"), n: int = 64, seed: int = 0
) -> None:
    """Decode draws from the prior, side by side in one image file.

    Args:
        model: A run, a model file, a folder of `isavae fit`, or hf://user/name.
        out: The PNG file to write.
        n: Number of draws.
        seed: Seed of the draws.
    """
    opened = open_model(model)
    images = opened.preprocessing.shown(opened.sample(n, seed))
    write_tiles(out, images, max(1, round(n**0.5)))
    say(out)


def export(
    model: Positional[str],
    out: Path,
    format: Literal["safetensors", "folder", "onnx"] = "safetensors",
    half: bool = False,
) -> None:
    """Write a model as one file, as a folder with its card, or as ONNX.

    Args:
        model: A run, a model file, a folder of `isavae fit`, or hf://user/name.
        out: The file to write, or for the other formats the folder.
        format: safetensors, folder (model file and card), or onnx (encoder and decoder).
        half: Round the weights to half precision: half the bytes. Not for onnx.
    """
    if half and format == "onnx":
        raise ValueError(
            "--half must go with --format safetensors or folder; got onnx: leave --half out"
        )
    opened = open_model(model)
    if format == "safetensors":
        opened.save(out, half=half)
        say(out)
    elif format == "folder":
        say(opened.save_pretrained(out, half=half))
    else:
        files = export_onnx(opened, out)
        say(f"{files.encoder}: differs from torch by at most {files.encoder_error:.1e}")
        say(f"{files.decoder}: differs from torch by at most {files.decoder_error:.1e}")


def push(model: Positional[str], repo: Positional[str], private: bool = False) -> None:
    """Upload a model and its card to the Hugging Face Hub.

    Args:
        model: A run, a model file, or a folder of `isavae fit`.
        repo: The name of the model there, user/name.
        private: Make a new repository private.
    """
    say(open_model(model).push_to_hub(repo, private=private))
