"""`ISAVAE`: fit, transform, score and sample, over the training loop of every other run."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from math import prod
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state  # pyrefly: ignore[missing-module-attribute]
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    validate_data,  # pyrefly: ignore[missing-module-attribute]
)
from torch import Tensor

from isavae.distributions import LpTree
from isavae.errors import counted
from isavae.estimator.inputs import (
    Rows,
    Samples,
    Sizes,
    check_counts,
    image_shape,
    likelihood_of,
    objective_of,
    rows_or_images,
    start_spread,
    tree_of,
)
from isavae.estimator.scale import Scale, holds_bytes
from isavae.evaluation import BATCH, elbo_blocks
from isavae.metrics import Codes, informative
from isavae.models import AnyObjective
from isavae.runs import RunConfig, TrainedModel, check_trainable, fresh_state
from isavae.training import train

# The largest spread of a column, in the networks' units, that is rounding.
NO_SPREAD = 1e-6


@final
class ISAVAE(TransformerMixin, BaseEstimator):
    """A VAE with independent subspaces as a scikit-learn transformer.

    `transform` gives the mean of q(z|x), `inverse_transform` the mean of p(x|z), `score` the mean
    ELBO of a sample in nats (β = 1, whatever was trained). Rows may be flat features or images; the
    networks compute in float32, and so are the results. Images of uint8 are pixels in 0..255.

    Args:
        latents: Number of latents; or the sizes of the subspaces, `(2, 3)`; or the whole prior as
            a tree, `"2.1[2.2*4, 2.2*4]"`, which says p0 and p. None takes four per subspace.
        subspaces: Number of subspaces, as even as possible, or the number of latents of each. None
            takes subspaces of about four latents, in all five if `latents` is None.
        p0: Exponent between subspaces (Eq. 6).
        p: Exponent within subspaces, one number or one per subspace.
        prior_scale: The scale s of Eq. 11, 1 as published, or "standardised" for a mean latent
            variance of 1.
        beta: Weight of the objective's regulariser, where `objective` is a name. The default keeps
            more of X than 1 does. In five folds of `load_digits`, 20 latents keep 0.915 to 0.917 of
            the variance of the digits that were left out (PCA 0.89), and a logistic regression of
            them is right for 0.944 to 0.953 (PCA 0.943 to 0.945), over three seeds. They do not
            replace PCA where rows are few or smooth: 5 latents of
            `load_wine` (178 rows) give a logistic regression 0.94 (PCA 0.98), 10 of grey crops of
            `load_sample_images` keep 0.93 of the variance (PCA 0.95), both with width 256.
        objective: "beta-vae" or "beta-tcvae", or any objective of `isavae.models`, for example
            `FactorVAE(gamma=6.0)`.
        likelihood: P(x|z), a key of `isavae.models.LIKELIHOODS`; "auto" is "bernoulli" where all
            values are 0 or 1, "gaussian" with a learned spread otherwise.
        scale: "auto" standardises columns unless all values lie in [0, 1], as those of images do;
            "standardise" and "none" always or never do. `inverse_transform`, `sample` and `score`
            are in the units of X.
        network: A key of `isavae.models.NETWORKS`.
        width: Units of a hidden layer; None takes the paper's 1200.
        image_shape: (channels, height, width) of images whose pixels are the columns of X;
            None takes the rows as they come.
        max_iter: Optimiser steps of `fit`.
        batch_size: Samples per step; at most all of them are taken.
        learning_rate: Learning rate of Adam.
        random_state: An int makes every result reproducible.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        verbose: Print the loss a hundred times in a fit.

    Attributes:
        model_: The trained `isavae.models.VAE`.
        trained_: The same as an `isavae.TrainedModel`, with `save` and `push_to_hub`; it takes and
            gives values that are scaled by `scale_`.
        tree_: Subspaces and exponents of the prior.
        loss_curve_: The loss of every step (nats per sample).
        n_iter_: Steps taken.
        scale_: The `mean` and `spread` by which columns are standardised.
        shape_: (channels, height, width) as the networks see a sample.
        likelihood_: The likelihood's name.
        n_features_in_, feature_names_in_: As everywhere in scikit-learn.

    Examples:
        >>> from sklearn.datasets import load_digits
        >>> images = load_digits().images / 16
        >>> estimator = ISAVAE((2, 2), width=32, max_iter=300, random_state=0).fit(images)
        >>> estimator.transform(images).shape, estimator.sample(3).shape
        ((1797, 4), (3, 8, 8))
        >>> list(estimator.get_feature_names_out())
        ['z1', 'z2', 'z3', 'z4']
    """

    def __init__(
        self,
        latents: int | str | Sizes | LpTree | None = None,
        *,
        subspaces: int | Sizes | None = None,
        p0: float = 2.1,
        p: float | Sequence[float] | np.ndarray = 2.2,
        prior_scale: float | Literal["standardised"] = 1.0,
        beta: float = 0.1,
        objective: str | AnyObjective = "beta-vae",
        likelihood: str = "auto",
        scale: str = "auto",
        network: str = "mlp",
        width: int | None = 512,
        image_shape: tuple[int, int, int] | None = None,
        max_iter: int = 1000,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        random_state: int | np.random.RandomState | None = None,
        device: str = "auto",
        verbose: bool = False,
    ):
        self.latents = latents
        self.subspaces = subspaces
        self.p0 = p0
        self.p = p
        self.prior_scale = prior_scale
        self.beta = beta
        self.objective = objective
        self.likelihood = likelihood
        self.scale = scale
        self.network = network
        self.width = width
        self.image_shape = image_shape
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def fit(self, X: Samples, y: Any = None) -> "ISAVAE":
        """Train from scratch for `max_iter` steps.

        Args:
            X: (n, features), or images (n, h, w) or (n, channels, h, w), perhaps one by one in a
                list or generator, or Pillow images, or an `ImageDataset`.
            y: Ignored.

        Raises:
            ValueError: If X or a parameter is not as described.
            ArithmeticError: If the loss becomes NaN or infinite.

        Warns:
            ConvergenceWarning: If fewer than two latents are in use, the rows are reconstructed
                no better than by their mean, or all rows are the same.
        """
        rows = self._rows(X, reset=True)
        self._start(rows)
        self._train(rows, self.max_iter)
        self._check_convergence(rows)
        return self

    def partial_fit(self, X: Samples, y: Any = None) -> "ISAVAE":
        """Continue training by one pass over X; the first call decides shape and likelihood.

        Args:
            X: As for `fit`.
            y: Ignored.
        """
        first = not hasattr(self, "model_")
        rows = self._rows(X, reset=first)
        if first:
            self._start(rows)
        return self._train(rows, self._state.step + -(-len(rows) // self.batch_size))

    def transform(self, X: Samples) -> np.ndarray:
        """The mean of q(z|x) of every sample: (n, latents)."""
        check_is_fitted(self)
        return self.trained_.encode(self._images(X))[0].numpy()

    def inverse_transform(self, Z: ArrayLike) -> np.ndarray:
        """The mean of p(x|z) of every code, with the axes of the samples that `fit` was given.

        Raises:
            ValueError: If Z does not have one column per latent.
        """
        check_is_fitted(self)
        return self._samples(self.trained_.decode(check_array(Z, dtype=np.float32)))

    def score(self, X: Samples, y: Any = None) -> float:
        """The mean ELBO, log p(x|z) - KL(q(z|x) || p(z)), by one draw of z per sample.

        Args:
            X: Samples, as for `transform`.
            y: Not used.

        Returns:
            Nats per sample.
        """
        check_is_fitted(self)
        reconstruction, kl = elbo_blocks(self.model_, self._images(X).split(BATCH), self._seed)
        return (reconstruction - kl).double().mean().item() - self.scale_.log_volume

    def sample(self, n_samples: int = 1) -> np.ndarray:
        """Means of p(x|z) at draws from the prior, with the axes of what `fit` was given.

        Raises:
            ValueError: If the number of samples is negative.
        """
        check_is_fitted(self)
        if n_samples < 0:
            raise ValueError(f"n_samples must be 0 or more; got {n_samples}")
        return self._samples(self.trained_.sample(n_samples, self._draw_seed()))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the latents: "z5", or what the user called them."""
        check_is_fitted(self)
        return np.array(self.trained_.names, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()  # pyrefly: ignore[missing-attribute]
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _rows(self, X: Any, reset: bool) -> Tensor:
        """X checked, flat, scaled, as float32."""
        X = rows_or_images(X)
        is_bytes = holds_bytes(X)
        axes = np.shape(X)[1:] if getattr(X, "ndim", 2) in (3, 4) else None
        if not reset and axes not in (None, self.axes_):
            raise ValueError(
                f"images must have the shape that the model was fitted on, {self.axes_}; "
                f"got {axes}: resize them"
            )
        X = X if axes is None else np.asarray(X).reshape(-1, prod(axes))
        least = 2 if reset else 1  # one row has no spread
        rows = validate_data(
            self, X, dtype=(np.float64, np.float32), reset=reset, ensure_min_samples=least
        )
        if reset:
            self.axes_ = axes or (rows.shape[1],)
            self.shape_ = image_shape(self.axes_, self.image_shape)
            is_pixels = is_bytes and (axes is not None or self.image_shape is not None)
            rows = rows / 255 if is_pixels else rows
            self.scale_ = Scale.of(rows, self.scale)
        elif is_bytes and self.scale_.is_share:
            rows = rows / 255
        return self.scale_.apply(rows)

    def _start(self, rows: Tensor) -> None:
        """A fresh model and training state for such rows."""
        check_counts(
            self.latents, self.subspaces, max_iter=self.max_iter, batch_size=self.batch_size
        )
        self._seed = self._draw_seed()
        self.likelihood_ = likelihood_of(self.likelihood, rows)
        self.tree_ = tree_of(self.latents, self.subspaces, self.p0, self.p)
        objective = objective_of(self.objective, self.beta)
        if not isinstance(self.network, str):
            raise ValueError(
                "network must be a name, so that a saved model can be built again; got "
                f"{type(self.network).__name__}: give your networks to isavae.VAE, and train it "
                "with isavae.training.train"
            )
        for name in ("max_iter", "batch_size"):
            if (given := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be 1 or more; got {given}")
        config = RunConfig.parse(
            {
                "data": "arrays",
                "prior": str(self.tree_),
                "prior_scale": self.prior_scale,
                "objective": asdict(objective),
                "likelihood": self.likelihood_,
                "network": self.network,
                "width": self.width,
                "steps": self.max_iter,
                "batch_size": min(self.batch_size, len(rows)),
                "learning_rate": self.learning_rate,
                "seed": self._seed,
                "precision": "float32",
                "device": self.device,
            }
        )
        check_trainable(config)
        self._state = fresh_state(config, self.shape_)
        self.model_ = self._state.model
        start_spread(self.model_.likelihood, rows)
        self.trained_ = TrainedModel(self.model_, config, self.shape_)
        self.loss_curve_: list[float] = []

    def _train(self, rows: Tensor, steps: int) -> "ISAVAE":
        """Train until a step, counted from the start of training."""
        start = self._state.step
        report_every = max(1, (steps - start) // 100)
        losses = []
        for report in train(
            self._state,
            Rows(rows, self.shape_),
            objective_of(self.objective, self.beta),
            steps=steps,
            batch_size=min(self.batch_size, len(rows)),
            seed=self._seed,
        ):
            losses.append(report.values["loss"])
            if self.verbose and report.step % report_every == 0:
                shown = ", ".join(f"{name} {v:.4g}" for name, v in report.to_floats().items())
                print(f"step {report.step}/{steps}: {shown}")
        curve = torch.stack(losses).tolist()
        if not np.isfinite(curve).all():
            raise ArithmeticError(
                f"the loss must be finite; it is not from step "
                f"{start + int(np.argmin(np.isfinite(curve))) + 1} on: standardise the features or "
                "lower learning_rate"
            )
        self.loss_curve_ += curve
        self.n_iter_ = self._state.step
        self.trained_.facts.update(step=self.n_iter_, steps=self.n_iter_)
        return self

    def _check_convergence(self, rows: Tensor) -> None:
        """Warn if the model has learned next to nothing, or there was nothing to learn."""
        if float(rows.std(0, correction=0).max()) < NO_SPREAD:
            warnings.warn(
                "rows should differ from each other; all are the same, and so are their codes: "
                "give other rows",
                ConvergenceWarning,
                stacklevel=3,
            )
            return
        some = rows[: 2 * BATCH].unflatten(1, self.shape_)
        codes = Codes(*self.trained_.encode(some))
        used, wanted = int(informative(codes).sum()), min(2, codes.latents)
        error = float((self.trained_.decode(codes.mean) - some).square().mean())
        variance = float(some.var(0, correction=0).mean())
        if used < wanted or error >= variance:
            warnings.warn(
                f"{counted(wanted, 'latent')} or more should be in use, and reconstructions be "
                f"better than the mean; {used} are, and the error is {error / variance:.0%} of "
                "the variance: raise max_iter or lower beta",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _images(self, X: Samples) -> Tensor:
        return self._rows(X, reset=False).unflatten(1, self.shape_)

    def _samples(self, images: Tensor) -> np.ndarray:
        return self.scale_.revert(images.flatten(1).numpy()).reshape(-1, *self.axes_)

    def _draw_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
