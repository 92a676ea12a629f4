"""The scikit-learn predictors behind the supervised scores.

scikit-learn is imported where a predictor is made, so that `isavae.metrics` works without it. What
is not set here is scikit-learn's default; tests/metrics/test_predictors.py says which values these
have, and fails with a version that changes one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from isavae.metrics.codes import NotApplicable
from isavae.metrics.samples import Split

if TYPE_CHECKING:
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import Lasso, LogisticRegression
    from sklearn.svm import LinearSVC


# The importance of every latent, and a value per test image that says how well it was predicted.
Importance = tuple[np.ndarray, np.ndarray]


def histogram_boosting(seed: int, images: int) -> "HistGradientBoostingClassifier":
    """100 rounds of one depth-3 tree per class, 255 bins per latent, 20 images or more per leaf.

    Below 300 train images a leaf may hold a fifteenth of them: with the customary 20 the
    predictor would not split 40 images at all.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100,
        max_leaf_nodes=8,
        max_depth=3,
        min_samples_leaf=min(20, max(1, images // 15)),
        early_stopping=False,
        random_state=seed,
    )


def exact_boosting(seed: int) -> "GradientBoostingClassifier":
    """100 rounds of one depth-3 tree per class: the customary predictor of DCI, and very slow."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=seed)


def random_forest(seed: int) -> "RandomForestClassifier":
    """100 full trees on bootstrap samples, each split the best over all latents."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=100, max_features=1.0, n_jobs=-1, random_state=seed)


def lasso(alpha: float) -> "Lasso":
    """Least squares with an L1 penalty, by cyclic coordinate descent."""
    from sklearn.linear_model import Lasso

    return Lasso(alpha=alpha, max_iter=10_000)


def logistic_regression() -> "LogisticRegression":
    """Multinomial logistic regression with the L2 penalty of strength 1."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, max_iter=10_000)


def support_vectors() -> "LinearSVC":
    """One-against-the-rest linear support vector machine with balanced classes."""
    from sklearn.svm import LinearSVC

    # The primal has the same optimum as the dual, without its random order of coordinates.
    return LinearSVC(C=0.01, dual=False, class_weight="balanced")


def correct(model: Any, parts: Split) -> Float[np.ndarray, "test"]:
    """Train a classifier; 1 for every test image that it classifies correctly, 0 for the others.

    If the train images show one class only, that class is what is predicted.
    """
    if parts.has_one_class:
        return (parts.test_y == parts.train_y[0]).astype(np.float64)
    model.fit(parts.train_x, parts.train_y)
    return (model.predict(parts.test_x) == parts.test_y).astype(np.float64)


def importance_by_gain(parts: Split, ordered: bool, seed: int) -> Importance:
    """Share of each latent in the gain of all splits of histogram boosting."""
    model = histogram_boosting(seed, len(parts.train_x))
    right = correct(model, parts)
    rounds = model._predictors  # pyrefly: ignore  # the only place where the gains are kept
    trees = [tree.nodes for one in rounds for tree in one]
    nodes = np.concatenate([tree[tree["is_leaf"] == 0] for tree in trees])
    gain = np.bincount(
        nodes["feature_idx"].astype(np.int64),
        weights=nodes["gain"].clip(min=0),
        minlength=parts.train_x.shape[1],
    )
    return gain / max(gain.sum(), np.finfo(float).tiny), right


def importance_by_impurity(make: Callable[[int], Any]) -> Callable[..., Importance]:
    """Share of each latent in the decrease of impurity, by a model made from a seed."""

    def importance(parts: Split, ordered: bool, seed: int) -> Importance:
        model = make(seed)
        right = correct(model, parts)
        return model.feature_importances_, right

    return importance


def importance_by_lasso(parts: Split, ordered: bool, seed: int, alpha: float = 0.02) -> Importance:
    """Sum of |coefficients| over the targets, and the explained share of each test image's square.

    The target is the class number of an ordered factor, standardised, or every class's indicator.
    """
    parts = parts.standardised
    train, test = _targets(parts, ordered)
    model = lasso(alpha).fit(parts.train_x, train)
    rest = np.square(test - model.predict(parts.test_x).reshape(test.shape)).sum(axis=1)
    spread = np.square(test - test.mean(axis=0)).sum(axis=1).mean()
    if not spread > 0:
        raise NotApplicable(
            "R² needs two classes among the test images, but they show one: raise `test`."
        )
    explained = 1 - rest / spread
    return np.abs(np.atleast_2d(model.coef_)).sum(axis=0), explained


def lasso_coefficients(
    x: Float[np.ndarray, "n inputs"], y: Float[np.ndarray, "n outputs"], alpha: float
) -> Float[np.ndarray, "inputs outputs"]:
    """|coefficients| of the lasso that predicts y from x, both standardised here."""
    from sklearn.preprocessing import StandardScaler

    x, y = (StandardScaler().fit_transform(values) for values in (x, y))
    return np.abs(np.atleast_2d(lasso(alpha).fit(x, y).coef_)).T


def _targets(parts: Split, ordered: bool) -> tuple[np.ndarray, np.ndarray]:
    if not ordered:
        classes = np.arange(max(parts.train_y.max(), parts.test_y.max()) + 1)
        return tuple((y[:, None] == classes).astype(float) for y in (parts.train_y, parts.test_y))
    center, scale = parts.train_y.mean(), max(parts.train_y.std(), np.finfo(float).tiny)
    return tuple((y[:, None] - center) / scale for y in (parts.train_y, parts.test_y))


# name -> (split, whether the factor is ordered, seed) to importances and test images' correctness
IMPORTANCES: dict[str, Callable[[Split, bool, int], Importance]] = {
    "boosting": importance_by_gain,
    "boosting_exact": importance_by_impurity(exact_boosting),
    "forest": importance_by_impurity(random_forest),
    "lasso": importance_by_lasso,
}
