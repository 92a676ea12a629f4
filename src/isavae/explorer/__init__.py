"""The explorer: an interactive page of the latent space of a run, a model or a study."""

from isavae.explorer.server import build_app, serve

__all__ = ["build_app", "serve"]
