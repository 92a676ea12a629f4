"""Runs: `RunConfig` to objects to a run directory, and back."""

from isavae.runs.config import PRESETS, RunConfig, merge_settings, preset, read_settings
from isavae.runs.directory import Run, build_model, read_model_metadata, save_model
from isavae.runs.execution import DivergenceError, execute, fresh_state, require_trainable

__all__ = [
    "PRESETS",
    "DivergenceError",
    "Run",
    "RunConfig",
    "build_model",
    "execute",
    "fresh_state",
    "merge_settings",
    "preset",
    "read_model_metadata",
    "read_settings",
    "require_trainable",
    "save_model",
]
