"""From a folder of images to a chosen model and its report."""

from isavae.fitting.axes import Axis, axes_of
from isavae.fitting.fit_images import fit, write_again
from isavae.fitting.fitted import Fitted
from isavae.fitting.model_choice import Candidate, candidates, choose
from isavae.fitting.proposal import Proposal, propose
from isavae.fitting.training_images import TrainingImages, read_training_images

__all__ = [
    "Axis",
    "Candidate",
    "Fitted",
    "Proposal",
    "TrainingImages",
    "axes_of",
    "candidates",
    "choose",
    "fit",
    "propose",
    "read_training_images",
    "write_again",
]
