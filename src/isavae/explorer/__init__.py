"""The explorer: a run, a model or a study as a page on which the latent space can be touched."""

from isavae.explorer.server import build_app, serve

__all__ = ["build_app", "serve"]
