"""Every figure is a function: data in, matplotlib `Figure` out; `save` writes it."""

from isavae.figures.latents import latent_sheet
from isavae.figures.panels import Panel, conditional_means, panels
from isavae.figures.reconstructions import reconstructions
from isavae.figures.style import encode, save
from isavae.figures.traversals import traversals

__all__ = [
    "Panel",
    "conditional_means",
    "encode",
    "latent_sheet",
    "panels",
    "reconstructions",
    "save",
    "traversals",
]
