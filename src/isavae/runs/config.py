"""What determines a run, as names and numbers."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isavae.models import AnyObjective, BetaVAE

PAPER_EPOCHS = 20.0

# The paper's models, as settings.
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

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = "dsprites"
    prior: str = "isa"
    prior_scale: float | Literal["standardised"] = 1.0
    n_latents: int | None = Field(None, ge=1)
    learn_exponents: bool = False
    learn_p0: bool = False
    learn_scale: bool = False
    lowest_exponent: float = Field(1.0, gt=0)
    prior_learning_rate: float = Field(5e-4, gt=0)
    objective: AnyObjective = Field(BetaVAE(), discriminator="name")
    likelihood: str = "bernoulli"
    network: str = "mlp"
    width: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    batch_size: int = Field(2048, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    seed: int = Field(0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"

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

        >>> RunConfig.parse({"objective": {"name": "beta-vae", "beta": 4}, "steps": 100}).steps
        100
        """
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            raise _setting_error(error, cls) from None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "RunConfig":
        """A configuration from a YAML or JSON file."""
        return cls.parse(read_settings(path))

    def settings(self) -> dict[str, Any]:
        """The configuration as plain values that `parse` reads back."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """The configuration as JSON text that `parse` reads back."""
        return self.model_dump_json(indent=2)

    def total_steps(self, n_data: int) -> int:
        """Optimiser steps in all; an epoch is `n_data // batch_size` of them (at least one)."""
        if self.steps is not None:
            return self.steps
        epochs = PAPER_EPOCHS if self.epochs is None else self.epochs
        return max(1, round(epochs * max(1, n_data // self.batch_size)))


def preset(name: str) -> dict[str, Any]:
    """The settings of one of the paper's models.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in PRESETS:
        raise ValueError(f"a model must be one of {', '.join(PRESETS)}; got {name!r}")
    return PRESETS[name]


def merge_settings(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings layer over layer, later ones winning.

    `objective` may be a name or a mapping; `beta` beside it is the objective's. Parameters of an
    objective are kept as long as its name stays; giving `steps` drops `epochs`, and vice versa.

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


def _merged_objective(before: dict[str, Any] | None, layer: Mapping[str, Any]) -> Any:
    given = layer.get("objective", {})
    if given is not None and not isinstance(given, str | Mapping):
        return given  # no objective at all: `parse` complains
    changes = {"name": given} if isinstance(given, str) else dict(given or {})
    if "beta" in layer:
        changes["beta"] = layer["beta"]
    kept = before or {"name": "beta-vae"}
    if changes.get("name", kept["name"]) != kept["name"]:
        return changes
    return kept | changes if changes else before


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a YAML or JSON file, unvalidated.

    Raises:
        ValueError: if the file is missing or is no mapping of names to values.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"a configuration file must be readable; {path} is not ({error.strerror})"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"a configuration must be YAML or JSON; {path} is not: {error}") from None
    if not isinstance(settings, dict):
        raise ValueError(f"a configuration must map names to values; {path} holds {settings!r}")
    return settings


def _setting_error(error: ValidationError, model: type[BaseModel]) -> SettingError:
    """Pydantic's first error in one line."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    setting = str(first["loc"][0]) if first["loc"] else None
    if first["type"] == "extra_forbidden":
        message = f"{name!r} is no setting; the settings are {', '.join(model.model_fields)}"
    elif first["type"] == "value_error":
        message = ": ".join(filter(None, [name, str(first["ctx"]["error"])]))
    else:
        message = f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}; got {first['input']!r}"
    return SettingError(message, setting)
