"""The scikit-learn predictors behind the supervised scores.

scikit-learn is imported where a predictor is made, so that `isavae.metrics` works without it. What
is not set here is scikit-learn's default; tests/metrics/test_predictors.py says which values these
have, and fails with a version that changes one.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from isavae.metrics.samples import Split

if TYPE_CHECKING:
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import Lasso, LogisticRegression
    from sklearn.svm import LinearSVC


def histogram_boosting(seed: int, images: int) -> "HistGradientBoostingClassifier":
    """100 rounds of one depth-3 tree a class on 255 bins a latent; 20 images or more a leaf.

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
    """100 rounds of one depth-3 tree a class: the customary predictor of DCI, and very slow."""
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


def importance_by_histogram_boosting(parts: Split, ordered: bool, seed: int):
    """Share of each latent in the gain of all splits, and which test images were right."""
    model = histogram_boosting(seed, len(parts.train_x)).fit(parts.train_x, parts.train_y)
    rounds = model._predictors  # pyrefly: ignore  # the only place where the gains are kept
    trees = [tree.nodes for one in rounds for tree in one]
    nodes = np.concatenate([tree[tree["is_leaf"] == 0] for tree in trees])
    gain = np.bincount(
        nodes["feature_idx"].astype(np.int64),
        weights=nodes["gain"].clip(min=0),
        minlength=parts.train_x.shape[1],
    )
    return gain / max(gain.sum(), np.finfo(float).tiny), _right(model, parts)


def importance_by_exact_boosting(parts: Split, ordered: bool, seed: int):
    """Share of each latent in the impurity decrease of all trees."""
    model = exact_boosting(seed).fit(parts.train_x, parts.train_y)
    return model.feature_importances_, _right(model, parts)


def importance_by_random_forest(parts: Split, ordered: bool, seed: int):
    """Mean decrease in Gini impurity."""
    model = random_forest(seed).fit(parts.train_x, parts.train_y)
    return model.feature_importances_, _right(model, parts)


def importance_by_lasso(parts: Split, ordered: bool, seed: int, alpha: float = 0.02):
    """Sum of |coefficients| over the targets, and the explained share of each test image's square.

    The target is the class number of an ordered factor, standardised, or every class's indicator.
    """
    parts = parts.standardised
    train, test = _targets(parts, ordered)
    model = lasso(alpha).fit(parts.train_x, train)
    rest = np.square(test - model.predict(parts.test_x).reshape(test.shape)).sum(axis=1)
    explained = 1 - rest / np.square(test - test.mean(axis=0)).sum(axis=1).mean()
    return np.abs(np.atleast_2d(model.coef_)).sum(axis=0), explained


def lasso_coefficients(
    x: Float[np.ndarray, "n inputs"], y: Float[np.ndarray, "n outputs"], alpha: float
) -> Float[np.ndarray, "inputs outputs"]:
    """|coefficients| of the lasso that predicts y from x, both standardised here."""
    from sklearn.preprocessing import StandardScaler

    x, y = (StandardScaler().fit_transform(values) for values in (x, y))
    return np.abs(np.atleast_2d(lasso(alpha).fit(x, y).coef_)).T


def _right(model, parts: Split) -> np.ndarray:
    return (model.predict(parts.test_x) == parts.test_y).astype(np.float64)


def _targets(parts: Split, ordered: bool) -> tuple[np.ndarray, np.ndarray]:
    if not ordered:
        classes = np.arange(max(parts.train_y.max(), parts.test_y.max()) + 1)
        return tuple((y[:, None] == classes).astype(float) for y in (parts.train_y, parts.test_y))
    center, scale = parts.train_y.mean(), max(parts.train_y.std(), np.finfo(float).tiny)
    return tuple((y[:, None] - center) / scale for y in (parts.train_y, parts.test_y))


IMPORTANCES = {
    "boosting": importance_by_histogram_boosting,
    "boosting_exact": importance_by_exact_boosting,
    "forest": importance_by_random_forest,
    "lasso": importance_by_lasso,
}
