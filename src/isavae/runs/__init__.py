"""Runs: `RunConfig` to objects to a run directory, and back."""

from isavae.runs.config import (
    PRESETS,
    RunConfig,
    SettingError,
    merge_settings,
    preset,
    read_settings,
)
from isavae.runs.directory import Run, build_model, read_model_metadata, save_model
from isavae.runs.execution import (
    CorruptCheckpointError,
    NonFiniteLossError,
    check_trainable,
    execute,
    fresh_state,
)

__all__ = [
    "PRESETS",
    "CorruptCheckpointError",
    "NonFiniteLossError",
    "Run",
    "RunConfig",
    "SettingError",
    "build_model",
    "check_trainable",
    "execute",
    "fresh_state",
    "merge_settings",
    "preset",
    "read_model_metadata",
    "read_settings",
    "save_model",
]
