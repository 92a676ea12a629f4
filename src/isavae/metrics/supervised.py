"""Scores of predictors that read factors from codes: DCI, SAP, explicitness."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.importance import completeness, disentanglement
from isavae.metrics.predictors import (
    IMPORTANCES,
    correct,
    logistic_regression,
    support_vectors,
)
from isavae.metrics.samples import Split, split
from isavae.metrics.score import Score


def dci(
    codes: Codes,
    factors: Sequence[str] | None = None,
    predictor: str = "boosting",
    train: int = 10_000,
    test: int = 5_000,
    seed: int = 0,
) -> Score:
    """Disentanglement, completeness and informativeness (Eastwood and Williams 2018).

    One predictor per factor learns its class from the means. `value` is the disentanglement of the
    matrix of importances; `terms` has its completeness and the informativeness: the mean test
    accuracy, whose parts are in `per_factor`. A factor of which the train images show one class
    only has no importances, and that class is what is predicted.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        predictor: `boosting`: histogram gradient boosting, importance = a latent's share of the
            gain of all splits. `boosting_exact`: the GradientBoostingClassifier of
            disentanglement_lib, importance = its share of the impurity decrease (many minutes).
            `forest`: random forest, importance = mean decrease in Gini impurity. `lasso`:
            importance = |coefficient| on standardised latents, informativeness = R^2; the target
            is the class number of an ordered factor and the class indicators of any other.
        train: Number of train images.
        test: Number of test images.
        seed: Seed of the split and the predictor.

    Raises:
        ValueError: If there is no such predictor.
    """
    if predictor not in IMPORTANCES:
        raise ValueError(f"The predictor must be one of {list(IMPORTANCES)}, but is {predictor!r}.")
    ordered = codes.grid.ordered if codes.grid is not None and codes.grid.ordered else ()
    columns = []

    def informativeness(name: str, parts: Split) -> Float[np.ndarray, "test"]:
        if parts.has_one_class:
            columns.append(torch.zeros(codes.latents, dtype=torch.float64))
            return correct(None, parts)
        importance, quality = IMPORTANCES[predictor](parts, name in ordered, seed)
        columns.append(torch.from_numpy(np.asarray(importance, dtype=np.float64)))
        return quality

    score = _mean_over_factors(informativeness, codes, factors, train, test, seed)
    matrix = torch.stack(columns, dim=1)
    return Score(
        value=disentanglement(matrix),
        per_factor=score.per_factor,
        terms={"completeness": completeness(matrix), "informativeness": score.value},
        term_errors={"informativeness": score.standard_error or 0.0},
        parameters={**score.parameters, "predictor": predictor},
    )


def sap(
    codes: Codes,
    factors: Sequence[str] | None = None,
    train: int = 10_000,
    test: int = 5_000,
    seed: int = 0,
) -> Score:
    """Separated attribute predictability (Kumar et al. 2018), as in Locatello et al. (2019).

    1/K sum_k (a_j1k - a_j2k), a_jk the test accuracy of a linear support vector machine (C = 0.01,
    balanced classes, one against the rest) that reads factor k from latent j alone, j1 and j2 the
    best two.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        train: Number of train images.
        test: Number of test images.
        seed: Seed of the split.
    """

    def lead(name: str, parts: Split) -> Float[np.ndarray, "test"]:
        singles = [parts.with_latent(j) for j in range(codes.latents)]
        right = np.stack([correct(support_vectors(), single) for single in singles])
        right = np.concatenate([right, np.zeros((1, right.shape[1]))])  # a second latent that fails
        best, second = np.argsort(-right.mean(axis=1), kind="stable")[:2]
        return right[best] - right[second]

    return _mean_over_factors(lead, codes, factors, train, test, seed)


def explicitness(
    codes: Codes,
    factors: Sequence[str] | None = None,
    train: int = 10_000,
    test: int = 5_000,
    seed: int = 0,
) -> Score:
    """Explicitness (Ridgeway and Mozer 2018), as in Locatello et al. (2019).

    Mean over factors, and over classes, of the area under the ROC curve of one class against the
    rest, for a logistic regression on all standardised means; 1/2 if the train images show one
    class only.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        train: Number of train images.
        test: Number of test images.
        seed: Seed of the split.

    Raises:
        NotApplicable: If the test images show one class of a factor only.
    """

    def area(name: str, parts: Split) -> Float[np.ndarray, "test"]:
        if len(np.unique(parts.test_y)) == 1:
            raise NotApplicable(
                f"An area under the ROC curve needs two classes among the test images, but those "
                f"of {name} show one: label more images, or name other factors with factors=."
            )
        if parts.has_one_class:
            return np.full(len(parts.test_y), 0.5)
        parts = parts.standardised
        model = logistic_regression().fit(parts.train_x, parts.train_y)
        return _auc(model.predict_proba(parts.test_x), parts.test_y, model.classes_)

    return _mean_over_factors(area, codes, factors, train, test, seed)


def _auc(
    probability: Float[np.ndarray, "test classes"],
    labels: Int[np.ndarray, "test"],
    classes: Int[np.ndarray, "classes"],
) -> Float[np.ndarray, "test"]:
    """Values, one a test image, whose mean is the mean area over classes against the rest.

    The mean's standard error is that of DeLong et al. (1988): each value is the area plus the
    image's influence on it.
    """
    from scipy.stats import rankdata

    values = []
    for column, c in enumerate(classes):
        positive = labels == c
        share = positive.mean()
        if not 0 < share < 1:
            continue
        scores = probability[:, column]
        above = rankdata(scores) - 0.5  # how many images score lower, ties half
        among_own = np.empty_like(above)
        among_own[positive] = rankdata(scores[positive]) - 0.5
        among_own[~positive] = rankdata(scores[~positive]) - 0.5
        beaten = (above - among_own) / np.where(
            positive, len(labels) * (1 - share), len(labels) * share
        )
        wins = np.where(positive, beaten, 1 - beaten)
        area = wins[positive].mean()
        values.append(area + (wins - area) / np.where(positive, share, 1 - share))
    return np.mean(values, axis=0) if values else np.full(len(labels), 0.5)


def _mean_over_factors(
    measure: Callable[[str, Split], Float[np.ndarray, "test"]],
    codes: Codes,
    factors: Sequence[str] | None,
    train: int,
    test: int,
    seed: int,
) -> Score:
    """The mean over factors, and over test images, of what `measure` gives for a factor's split."""
    names = codes.factor_names(factors)
    splits = {name: split(codes, codes.factor(name), train, test, seed) for name in names}
    values = {name: measure(name, parts) for name, parts in splits.items()}
    sizes = [(len(parts.train_y), len(parts.test_y)) for parts in splits.values()]
    used = dict(zip(names, sizes, strict=True)) if len(set(sizes)) > 1 else sizes[0]
    means = {name: float(v.mean()) for name, v in values.items()}
    variance = sum(v.var() / len(v) for v in values.values())
    return Score(
        value=float(np.mean(list(means.values()))),
        per_factor=means,
        standard_error=float(np.sqrt(variance)) / len(names),
        parameters={"factors": names, "train_and_test": used, "seed": seed},
    )
