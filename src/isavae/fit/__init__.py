"""The practitioner's path: a folder of pictures in, a chosen model and its report out."""

from isavae.fit.axes import Axis, axes_of
from isavae.fit.fitting import Fitted, fit_folder
from isavae.fit.pictures import Pictures, read_pictures
from isavae.fit.proposal import Proposal, propose
from isavae.fit.selection import Candidate, candidates, choose

__all__ = [
    "Axis",
    "Candidate",
    "Fitted",
    "Pictures",
    "Proposal",
    "axes_of",
    "candidates",
    "choose",
    "fit_folder",
    "propose",
    "read_pictures",
]
