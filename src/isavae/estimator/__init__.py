"""The scikit-learn face: `ISAVAE`, for arrays of images and for flat features."""

from isavae.estimator.transformer import ISAVAE

__all__ = ["ISAVAE"]
