"""isavae: VAEs whose latent variables mean something, by Lp-nested (subspace) priors."""

__version__ = "0.1.0"
__all__ = ["__version__"]
