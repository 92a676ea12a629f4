"""Runs: `RunConfig` to objects to a run directory, and back."""

from isavae.runs.build import build_model, check_trainable, fresh_state
from isavae.runs.config import PRESETS, RunConfig, merge_settings, preset, read_settings
from isavae.runs.directory import Run, read_model_metadata, save_model
from isavae.runs.execution import NonFiniteLossError, execute

__all__ = [
    "PRESETS",
    "NonFiniteLossError",
    "Run",
    "RunConfig",
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
