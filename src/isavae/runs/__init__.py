"""Runs: `RunConfig` to objects to a run directory, and back; the trained model by itself."""

from isavae.runs.build import build_model, check_memory, check_trainable, fresh_state
from isavae.runs.config import (
    FORMAT,
    PRESETS,
    RunConfig,
    SettingError,
    check_format,
    merge_settings,
    preset,
    read_settings,
)
from isavae.runs.directory import Run
from isavae.runs.execution import NonFiniteLossError, execute, take_steps
from isavae.runs.held_out import HELD_OUT, training_images
from isavae.runs.model_file import CorruptCheckpointError, save_model
from isavae.runs.moved_images import run_images
from isavae.runs.names_file import name_latents, names_of
from isavae.runs.onnx import OnnxFiles, export_onnx
from isavae.runs.scoring import evaluate_run
from isavae.runs.trained_model import TrainedModel

__all__ = [
    "FORMAT",
    "HELD_OUT",
    "PRESETS",
    "CorruptCheckpointError",
    "NonFiniteLossError",
    "OnnxFiles",
    "Run",
    "RunConfig",
    "SettingError",
    "TrainedModel",
    "build_model",
    "check_format",
    "check_memory",
    "check_trainable",
    "evaluate_run",
    "execute",
    "export_onnx",
    "fresh_state",
    "merge_settings",
    "name_latents",
    "names_of",
    "preset",
    "read_settings",
    "run_images",
    "save_model",
    "take_steps",
    "training_images",
]
