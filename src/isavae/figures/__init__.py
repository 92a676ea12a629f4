"""Figures: functions from data to a matplotlib `Figure`; `save` writes one to a file."""

from isavae.figures.factor_panels import Panel, panels
from isavae.figures.heatmap import information_matrix
from isavae.figures.image_tiles import image_rows, reconstructions, traversal_tiles, traversals
from isavae.figures.latents import latent_sheet
from isavae.figures.learning import learning_curves
from isavae.figures.position_planes import PositionPlane, orientation, position_plane
from isavae.figures.style import encode, save
from isavae.figures.toy_figures import (
    bias_by_magnitude,
    ica_components,
    pruning_bias,
    rotation_bias,
)
from isavae.figures.tradeoff import (
    exponent_histograms,
    mig_distributions,
    pareto,
    summary,
    trade_off,
)
from isavae.figures.trees import draw_tree
from isavae.figures.unit_balls import iso_contours

__all__ = [
    "Panel",
    "PositionPlane",
    "bias_by_magnitude",
    "draw_tree",
    "encode",
    "exponent_histograms",
    "ica_components",
    "image_rows",
    "information_matrix",
    "iso_contours",
    "latent_sheet",
    "learning_curves",
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
    "traversal_tiles",
    "traversals",
]
