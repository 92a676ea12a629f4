"""Every figure is a function: data in, matplotlib `Figure` out; `save` writes it."""

from isavae.figures.contours import iso_contours
from isavae.figures.exponents import exponent_histograms
from isavae.figures.information import information_matrix
from isavae.figures.latents import latent_sheet
from isavae.figures.orientation import PositionPlane, orientation, position_plane
from isavae.figures.panels import Panel, conditional_means, panels
from isavae.figures.reconstructions import reconstructions
from isavae.figures.style import encode, save
from isavae.figures.toys import bias_by_magnitude, ica_components, pruning_bias, rotation_bias
from isavae.figures.tradeoff import mig_distributions, pareto, summary, trade_off
from isavae.figures.traversals import traversals
from isavae.figures.trees import draw_tree

__all__ = [
    "Panel",
    "PositionPlane",
    "bias_by_magnitude",
    "conditional_means",
    "draw_tree",
    "encode",
    "exponent_histograms",
    "ica_components",
    "information_matrix",
    "iso_contours",
    "latent_sheet",
    "mig_distributions",
    "orientation",
    "panels",
    "pareto",
    "position_plane",
    "pruning_bias",
    "reconstructions",
    "rotation_bias",
    "save",
    "summary",
    "trade_off",
    "traversals",
]
