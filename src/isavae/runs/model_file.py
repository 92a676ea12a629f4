"""`model.safetensors`: the weights of a model, with all that it takes to rebuild it inside."""

import json
from collections.abc import Mapping
from functools import partial
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal, final

import safetensors
import safetensors.torch
import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
)
from pydantic_core import from_json

from isavae.errors import first_line, shown
from isavae.files import (
    BLANK,
    CHECKSUM,
    DamagedFileError,
    FileTooLargeError,
    atomic_write,
    is_sealed,
    open_regular,
    sealed,
)
from isavae.models import VAE
from isavae.runs.build import build_model
from isavae.runs.config import FORMAT, RunConfig, check_format
from isavae.runs.latent_names import check_names

# The file of a folder of `isavae fit`, written before a model is chosen.
FIT_FILE = "fit.json"


@final
class CorruptCheckpointError(ValueError):
    """The weights or the training state of a run cannot be read, or do not fit the run."""


def check_rising(ends: tuple[float, float]) -> tuple[float, float]:
    """Check that the first end of a range is below the second."""
    if not ends[0] < ends[1]:
        raise ValueError("the first must be below the second")
    return ends


Positive = Annotated[int, Field(strict=True, ge=1, le=1 << 16)]
Count = Annotated[int, Field(strict=True, ge=0)]


Range = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(check_rising)]


@final
class Values(BaseModel):
    """The values that become black and white, see `isavae.data.own.value_range.ValueRange`."""

    byte: Range
    deep: Range | None


@final
class ReadImages(BaseModel):
    """How images of a folder were read, see `isavae.data.Preprocessing`."""

    size: tuple[Positive, Positive]
    fit: Literal["crop", "pad", "stretch"] | None
    channels: Positive
    values: Values
    pages: Positive | Literal["all", "channels"]
    show: tuple[Count, ...]


@final
class SharedAxis(BaseModel):
    """Whether other seeds find a latent of a model that `isavae fit` chose."""

    latent: Count
    verdict: Literal["stable", "partly stable", "not stable"]
    found_by: Count
    seeds: Count


@final
class Metadata(BaseModel):
    """What a model file says besides its weights; other facts are kept as they are."""

    model_config = ConfigDict(extra="allow")

    config: dict[str, Any]
    shape: tuple[Positive, Positive, Positive]
    step: Count = 0
    steps: Count = 0
    preprocessing: ReadImages | None = None
    scores: dict[str, Any] = {}
    axes: list[SharedAxis] = []
    names: dict[str, str] = {}

    @field_validator("preprocessing")
    @classmethod
    def _of_the_shape(cls, read: ReadImages | None, info: Any) -> ReadImages | None:
        shape = info.data.get("shape")
        if read and shape and (read.channels, *read.size) != shape:
            raise ValueError(f"images must be read as the model takes them, in the shape {shape}")
        return read


# The types of what stands beside scores, see `isavae.evaluate`.
FACTS = {"data": str, "n_images": int, "factors": list, "mutual_information": list}
FACTS |= {"binned": dict, "exponents": list, "skipped": dict}
# Begins the names of scores of held-out images.
HELD_OUT = "held_out_"
# Bytes of the largest header of a model file: names of weights, settings and facts.
LARGEST_HEADER = 1 << 25
# Times that a weight may take its bytes in the file: there it may be in half precision.
WIDENED = 2
# Bytes that are read at a time.
BLOCK = 1 << 24


def save_model(model: VAE, path: Path, metadata: Mapping[str, Any], half: bool = False) -> None:
    """Write the weights as one safetensors file, with `metadata` as JSON and a checksum inside.

    Args:
        model: The model.
        path: The file to write.
        metadata: What else is known of it.
        half: Whether the weights of encoder and decoder are rounded to half precision.

    Raises:
        FileTooLargeError: If the settings, scores and names are too long to be read again.
        ValueError: If a weight is too large for half precision.
    """
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    if half:
        tensors = {name: _halved(name, value) for name, value in tensors.items()}
    about = json.dumps({CHECKSUM: BLANK, "version": FORMAT} | {**metadata})
    # One entry, for safetensors writes several in any order.
    data = safetensors.torch.save(tensors, {"isavae": about})
    header = int.from_bytes(data[:8], "little")
    if header > LARGEST_HEADER:
        raise FileTooLargeError(
            f"settings, scores and names in a model file must take at most {LARGEST_HEADER:,} "
            f"bytes; those in {path} would take {header:,}: leave out the scores"
        )
    with atomic_write(path) as file:
        file.write(sealed(data))


def _halved(name: str, value: torch.Tensor) -> torch.Tensor:
    """A weight of the encoder or the decoder in half precision; anything else as it is."""
    if not (name.startswith(("encoder.", "decoder.")) and value.is_floating_point()):
        return value
    halved = value.half()
    if halved.isinf().any():
        raise ValueError(
            f"weights must lie within ±65,504 for half precision; {name} has "
            f"{value.abs().max():.3g}: save the model in single precision"
        )
    return halved


def read_model_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a model file, all of which is compared with its checksum.

    Raises:
        CorruptCheckpointError: If the file is no whole model file of isavae.
        ValueError: If there is no such file, or another version of isavae wrote it.
    """
    with _opened(path) as file:
        return _read_metadata(file, path)


def _opened(path: Path) -> BufferedIOBase:
    if not path.is_file():
        if (path.parent / FIT_FILE).is_file():
            raise ValueError(
                f"a fit must have chosen a model; that in {path.parent} has not yet: give its "
                "command `isavae fit` again to resume it"
            )
        raise ValueError(f"a model must be a .safetensors file; there is none at {path}")
    return open_regular(path)


def _read_metadata(file: BufferedIOBase, path: Path) -> dict[str, Any]:
    """The metadata of an open model file."""
    try:
        length = file.read(8)
        header = file.read(min(int.from_bytes(length, "little"), LARGEST_HEADER))
        metadata = json.loads(from_json(header)["__metadata__"]["isavae"])
        whole = is_sealed(length + header, iter(partial(file.read, BLOCK), b""))
        version = metadata.pop("version", None)
        metadata.pop(CHECKSUM, None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _corrupt(path, f"it cannot be read ({first_line(error)})") from None
    check_format(version, "a model file", path)
    if not whole:
        raise _corrupt(path, "it is damaged or was changed")
    check_scores(metadata.get("scores") or {}, path)
    try:
        return Metadata.model_validate(metadata).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _corrupt(path, f"its {where} is {shown(first['input'])}: {first['msg']}") from None


def check_scores(scores: Any, path: Path) -> dict[str, Any]:
    """The scores in a file, if every one has a number, and the facts beside them their types.

    Raises:
        DamagedFileError: If one does not.
    """
    if not isinstance(scores, dict):
        raise DamagedFileError(f"the scores in {path} must have names; they are {shown(scores)}")
    for name, score in scores.items():
        fact = FACTS.get(name.removeprefix(HELD_OUT))
        if fact is not None and type(score) is fact:
            continue
        number = score.get("value") if fact is None and isinstance(score, dict) else None
        error = score.get("standard_error") if isinstance(score, dict) else None
        if type(number) not in (int, float) or type(error) not in (int, float, type(None)):
            wanted = "a number" if fact is None else f"of type {fact.__name__}"
            raise DamagedFileError(
                f"every score in {path} must be {wanted}; {name} is {shown(score)}: evaluate "
                "the run again"
            )
    return scores


def _corrupt(path: Path, what: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        f"{path} must be a whole model file of isavae; {what}: export or train the model again"
    )


def read_model(path: Path) -> tuple[VAE, dict[str, Any]]:
    """The model in a file, in evaluation mode on the CPU, and the metadata beside it.

    Raises:
        CorruptCheckpointError: If the file is no whole model file of isavae.
        ValueError: If there is no such file, or another version of isavae wrote it.
    """
    with _opened(path) as file:
        data = file.read()  # once, so that what is checked is what is loaded
    metadata = _read_metadata(BytesIO(data), path)
    try:
        # The weights in the file bound those of the model that its metadata describe.
        most = WIDENED * len(data)
        model = build_model(RunConfig.parse(metadata["config"]), metadata["shape"], most)
        model.load_state_dict(safetensors.torch.load(data))
        check_names(metadata.get("names", {}), model.prior.n_latents)
    except (RuntimeError, ValueError, safetensors.SafetensorError) as error:
        raise CorruptCheckpointError(
            f"the weights and names in {path} must fit the configuration in it: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    return model.eval(), metadata
