"""A check of a GPU in minutes: tests, the time of a step, runs of the paper's Table 1."""

from isavae.gpu_check.check import GpuCheck
from isavae.gpu_check.floor import SETTINGS, Setting, StepTimes, time_step

__all__ = ["SETTINGS", "GpuCheck", "Setting", "StepTimes", "time_step"]
