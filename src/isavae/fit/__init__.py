"""From a folder of images to a chosen model and its report."""

from isavae.fit.axes import Axis, axes_of
from isavae.fit.fitted import Fitted
from isavae.fit.fitting import fit_folder, write_again
from isavae.fit.model_choice import Candidate, candidates, choose
from isavae.fit.proposal import Proposal, propose
from isavae.fit.training_images import TrainingImages, read_training_images

__all__ = [
    "Axis",
    "Candidate",
    "Fitted",
    "Proposal",
    "TrainingImages",
    "axes_of",
    "candidates",
    "choose",
    "fit_folder",
    "propose",
    "read_training_images",
    "write_again",
]
