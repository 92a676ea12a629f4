"""`RunConfig`: everything that determines a run, as names and numbers."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, final

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from isavae import bounded_yaml
from isavae.data.catalog import MOST_LETTERS
from isavae.errors import shown
from isavae.files import CHECKSUM, check_seal, read_at_most
from isavae.models import NETWORKS, AnyObjective, BetaVAE
from isavae.models.priors import MOST_LATENTS

PAPER_EPOCHS = 20.0

# Bytes of `config.json` at most.
MOST_SETTINGS = 1 << 20

# The format of run directories and model files, written into both as "version".
FORMAT = 2

# Settings of the paper's models.
PRESETS: dict[str, dict[str, Any]] = {
    "vae": {"prior": "normal", "objective": {"name": "beta-vae", "beta": 1.0}},
    "beta-vae": {"prior": "normal", "objective": {"name": "beta-vae", "beta": 4.0}},
    "beta-tcvae": {"prior": "normal", "objective": {"name": "beta-tcvae", "beta": 6.0}},
    "factor-vae": {"prior": "normal", "objective": {"name": "factor-vae", "gamma": 6.0}},
    "isa-vae-learned": {
        "prior": "isa",
        "learn_exponents": True,
        "objective": {"name": "beta-vae", "beta": 1.0},
    },
    "isa-vae": {"prior": "isa", "objective": {"name": "beta-vae", "beta": 1.0}},
    "isa-tcvae": {"prior": "isa", "objective": {"name": "beta-tcvae", "beta": 2.0}},
}


@final
class SettingError(ValueError):
    """A setting has a wrong name or value.

    Attributes:
        setting: The name of the setting; None if the error concerns several.
    """

    def __init__(self, message: str, setting: str | None):
        super().__init__(message)
        self.setting = setting


@final
class RunConfig(BaseModel):
    """Everything that determines a run, as names and numbers; JSON and YAML round trip.

    Defaults are the paper's dSprites setting (Table 1). `steps` and `epochs` exclude each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str = Field(
        "dsprites", description="Data set: a name that `isavae data list` shows, or a path."
    )
    prior: str = Field(
        "isa",
        description='Prior: "isa" (5 subspaces of 4, p0 = 2.1, p = 2.2), a tree such as '
        '"2.1[2.2*4, 2.2*4]", "normal", "laplace", "student-t(3.5)" or "gennorm(4)".',
    )
    prior_scale: float | Literal["standardised"] = Field(
        1.0, description='s of Eq. 11, or "standardised" for unit mean variance.'
    )
    n_latents: int | None = Field(
        None,
        ge=1,
        le=MOST_LATENTS,
        description="Number of latents, where the prior does not determine it.",
    )
    learn_exponents: bool = Field(
        False, description='Learn all exponents of the tree except p0; "isa" then starts from 2.'
    )
    learn_p0: bool = Field(False, description="Learn p0 too.")
    learn_scale: bool = Field(False, description="Learn the scale of the prior.")
    lowest_exponent: float = Field(1.0, gt=0, description="Lower bound of learned exponents.")
    prior_learning_rate: float = Field(
        5e-4, gt=0, description="Learning rate of what the prior learns."
    )
    objective: AnyObjective = Field(BetaVAE(), discriminator="name")
    likelihood: str = Field(
        "bernoulli",
        description="Distribution of pixels: bernoulli, continuous-bernoulli, gaussian or laplace "
        "(learned spread), gaussian-calibrated (spread from the error of reconstructions), "
        "gaussian(0.1), laplace(0.1), gaussian-pixelwise, laplace-pixelwise.",
    )
    network: str = Field(
        "mlp", description=f"Architecture of encoder and decoder: {', '.join(NETWORKS)}."
    )
    width: int | None = Field(
        None,
        ge=1,
        le=1 << 20,
        description="Units of the hidden layers, or channels of the first convolution, where not "
        "the paper's.",
    )
    steps: int | None = Field(None, ge=1, le=10**12, description="Optimiser steps in all.")
    epochs: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Passes over the data, instead of steps; 20 if neither is given.",
    )
    batch_size: int = Field(2048, ge=1, le=1 << 31, description="Number of images per step.")
    held_out: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the images that is never trained on, chosen at random by the seed; "
        "`isavae evaluate` scores both parts.",
    )
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of Adam.")
    learning_rate_end: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The share of the learning rates that is left at the last step; they fall "
        "along half a cosine over the second half of the steps.",
    )
    blur: float = Field(
        0.0,
        ge=0,
        description="Standard deviation, in pixels, of the Gaussian that images are blurred with "
        "at first; the deviation falls to 0 over the share blur_until of the steps.",
    )
    blur_until: float = Field(
        0.4, gt=0, le=1, description="The share of the steps after which images are sharp."
    )
    seed: int = Field(0, ge=0, lt=1 << 62, description="Seed of weights, batches and noise.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Precision of the networks; auto is bfloat16 where the hardware computes it "
        "natively and batches are large enough for it to be faster.",
    )
    device: str = Field("auto", description="The device: auto, cpu, cuda, cuda:N or mps.")

    @field_validator("data")
    @classmethod
    def _of_bounded_length(cls, data: str) -> str:
        # pydantic's own bound refuses names of files that are no text.
        if len(data) > MOST_LETTERS:
            raise PydanticKnownError("string_too_long", {"max_length": MOST_LETTERS})
        return data

    @model_validator(mode="after")
    def _one_length(self) -> "RunConfig":
        if self.steps is not None and self.epochs is not None:
            raise ValueError(
                f"give steps or epochs, not both; got steps={self.steps} and epochs={self.epochs}"
            )
        return self

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "RunConfig":
        """A configuration from plain values.

        Raises:
            SettingError: If a setting is wrong; names the first one.

        Examples:
            >>> RunConfig.parse({"objective": {"name": "beta-vae", "beta": 4}, "steps": 100}).steps
            100
        """
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            raise _setting_error(error, cls) from None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "RunConfig":
        """A configuration from a YAML or JSON file.

        Raises:
            ValueError: As of `read_settings`; a `SettingError` if a setting is wrong.
        """
        return cls.parse(read_settings(path))

    def settings(self) -> dict[str, Any]:
        """The configuration as plain values that `parse` reads back."""
        return self.model_dump(mode="json")

    def without_folders(self) -> "RunConfig":
        """The configuration to share: a path of images is only its last part.

        Examples:
            >>> RunConfig(data="/home/me/cells[size=64, factors=/tmp/t.csv]").without_folders().data
            'cells[size=64, factors=t.csv]'
        """
        return self.model_copy(update={"data": name_without_folders(self.data)})

    def total_steps(self, n_images: int) -> int:
        """Optimiser steps in all; an epoch is `n_images // batch_size` steps (at least one).

        Args:
            n_images: The number of images, with those that are held out.
        """
        n_images -= round(n_images * self.held_out)
        if self.steps is not None:
            return self.steps
        epochs = PAPER_EPOCHS if self.epochs is None else self.epochs
        return max(1, round(epochs * max(1, n_images // self.batch_size)))


def preset(name: str) -> dict[str, Any]:
    """The settings of one of the paper's models.

    Raises:
        SettingError: For an unknown name.
    """
    if name not in PRESETS:
        near = get_close_matches(str(name), PRESETS, n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        message = f"a model must be one of {', '.join(PRESETS)}; got {name!r}{hint}"
        raise SettingError(message, "model")
    return PRESETS[name]


def merge_settings(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge layers of settings; later ones override earlier ones.

    `objective` may be a name or a mapping; `beta` beside it is the objective's. Parameters of an
    objective are kept as long as its name stays; giving `steps` drops `epochs`, and vice versa.

    Examples:
        >>> merge_settings({"objective": {"name": "beta-vae", "beta": 4}}, {"steps": 10, "beta": 2})
        {'objective': {'name': 'beta-vae', 'beta': 2}, 'steps': 10}
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        given = {k: v for k, v in layer.items() if k not in ("objective", "beta")}
        for name, other in (("steps", "epochs"), ("epochs", "steps")):
            if given.get(name) is not None:
                merged.pop(other, None)
        merged |= given
        objective = _merged_objective(merged.get("objective"), layer)
        if objective is not None:
            merged["objective"] = objective
    return merged


def _merged_objective(before: Any, layer: Mapping[str, Any]) -> Any:
    given = layer.get("objective", {})
    for each in (given, before):
        if each is not None and not isinstance(each, str | Mapping):
            return each  # not an objective: `parse` says so
    changes = {"name": given} if isinstance(given, str) else dict(given or {})
    if "beta" in layer:
        changes["beta"] = layer["beta"]
    kept = before or {"name": "beta-vae"}
    if changes.get("name", kept["name"]) != kept["name"]:
        return changes
    return kept | changes if changes else before


def check_format(version: object, kind: str, path: str | os.PathLike[str]) -> None:
    """Check that this version of isavae reads a format.

    Args:
        version: What the file says.
        kind: What the file is, such as "a model file".
        path: The file or directory that is named in the message.

    Raises:
        ValueError: If the file is of another format.
    """
    if version == FORMAT:
        return
    found = "was written by an earlier version: train again, or use isavae 0.1"
    if isinstance(version, int) and version > FORMAT:
        found = f"is of format {version}: upgrade isavae"
    raise ValueError(f"{kind} must be of format {FORMAT} (isavae 0.2); {path} {found}")


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a YAML or JSON file, such as the `config.json` of a run; not validated.

    Raises:
        ValueError: If the file is missing, does not map names to values, or has another format.
    """
    settings = read_mapping(path)
    settings.pop(CHECKSUM, None)
    if "version" in settings:
        check_format(settings.pop("version"), "a configuration", path)
    return settings


def read_mapping(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents of a YAML or JSON file that maps names to values.

    Raises:
        ValueError: If the file is missing or is no such file.
    """
    try:
        data = read_at_most(path, bounded_yaml.MOST_BYTES)
        check_seal(data, path)
        settings = bounded_yaml.load(data.decode())
    except OSError as error:
        raise ValueError(
            f"a configuration file must be readable; {path} is not ({error.strerror})"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"a configuration must be YAML or JSON; {path} is not: {error}") from None
    except yaml.YAMLError as error:
        raise ValueError(bounded_yaml.explain(error, str(path))) from None
    if not isinstance(settings, dict):
        raise ValueError(
            f"a configuration must map names to values; {path} holds {shown(settings)}"
        )
    other = next((name for name in settings if not isinstance(name, str)), None)
    if other is not None:
        raise ValueError(
            f"names of settings must be text; {shown(other)} in {path} is none: put it in "
            "quotation marks"
        )
    return settings


def _setting_error(error: ValidationError, model: type[BaseModel]) -> SettingError:
    """Pydantic's first error in one line."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    setting = str(first["loc"][0]) if first["loc"] else None
    if first["type"] == "extra_forbidden":
        message = f"{name!r} is not a setting; the settings are {', '.join(model.model_fields)}"
    elif first["type"] == "value_error":
        message = ": ".join(filter(None, [name, str(first["ctx"]["error"])]))
    else:
        message = (
            f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}; got {shown(first['input'])}"
        )
    return SettingError(message, setting)


def name_without_folders(data: str) -> str:
    """The name of a data set to share: a path of images is only its last part."""
    path, bracket, options = data.partition("[")
    if data.endswith("]"):  # a path may have [, too
        path, bracket, options = data.rpartition("[")
    path, factors = (
        re.split(r"[/\\]", path)[-1],
        re.sub(r"(factors\s*=)[^,\]]*[/\\]", r"\1", options),
    )
    return path + bracket + factors
