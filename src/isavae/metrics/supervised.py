"""Scores of predictors that read factors from codes: DCI, SAP, explicitness, few-label accuracy."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.importance import completeness, disentanglement
from isavae.metrics.predictors import (
    IMPORTANCES,
    histogram_boosting,
    logistic_regression,
    support_vectors,
)
from isavae.metrics.samples import Split, split, split_sizes
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
    accuracy, whose parts are in `per_factor`.

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
    names = codes.factor_names(factors)
    ordered = codes.grid.ordered if codes.grid is not None and codes.grid.ordered else ()
    columns, right = [], []
    for name in names:
        parts = split(codes, codes.factor(name), train, test, seed)
        importance, correct = IMPORTANCES[predictor](parts, name in ordered, seed)
        columns.append(torch.from_numpy(np.asarray(importance, dtype=np.float64)))
        right.append(correct)
    matrix = torch.stack(columns, dim=1)
    mean, error = _mean_and_error(right)
    return Score(
        value=disentanglement(matrix),
        per_factor={name: float(r.mean()) for name, r in zip(names, right, strict=True)},
        terms={"completeness": completeness(matrix), "informativeness": mean},
        term_errors={"informativeness": error},
        parameters={**_sizes(codes, names, train, test, seed), "predictor": predictor},
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
    names = codes.factor_names(factors)
    leads = []
    for name in names:
        parts = split(codes, codes.factor(name), train, test, seed)
        right = np.stack([_read_by_one(parts, j) for j in range(codes.latents)])
        right = np.concatenate([right, np.zeros((1, right.shape[1]))])  # a second latent that fails
        best, second = np.argsort(-right.mean(axis=1), kind="stable")[:2]
        leads.append(right[best] - right[second])
    mean, error = _mean_and_error(leads)
    return Score(
        value=mean,
        per_factor={name: float(lead.mean()) for name, lead in zip(names, leads, strict=True)},
        standard_error=error,
        parameters=_sizes(codes, names, train, test, seed),
    )


def explicitness(
    codes: Codes,
    factors: Sequence[str] | None = None,
    train: int = 10_000,
    test: int = 5_000,
    seed: int = 0,
) -> Score:
    """Explicitness (Ridgeway and Mozer 2018), as in Locatello et al. (2019).

    Mean over factors, and over classes, of the area under the ROC curve of one class against the
    rest, for a logistic regression on all standardised means.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        train: Number of train images.
        test: Number of test images.
        seed: Seed of the split.
    """
    names = codes.factor_names(factors)
    influences = []
    for name in names:
        parts = split(codes, codes.factor(name), train, test, seed).standardised
        model = logistic_regression().fit(parts.train_x, parts.train_y)
        influences.append(_auc(model.predict_proba(parts.test_x), parts.test_y, model.classes_))
    mean, error = _mean_and_error(influences)
    return Score(
        value=mean,
        per_factor={name: float(i.mean()) for name, i in zip(names, influences, strict=True)},
        standard_error=error,
        parameters=_sizes(codes, names, train, test, seed),
    )


def few_label_accuracy(
    codes: Codes,
    factors: Sequence[str] | None = None,
    labels: Sequence[int] = (100, 1000),
    predictor: str = "logistic",
    repeats: int = 5,
    test: int = 5_000,
    seed: int = 0,
) -> Score:
    """Mean test accuracy of a classifier that saw few labels, for the largest number of `labels`.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        labels: Numbers of train images; `terms` has the mean accuracy for each. Those above half of
            the labelled images are left out.
        predictor: `logistic` regression on standardised means, or `boosting`.
        repeats: How many train sets to draw; the standard errors are over them.
        test: Number of test images.
        seed: Seed of the draws.

    Raises:
        ValueError: If there is no such predictor, or too few images for any of the numbers.
    """
    from scipy.stats import sem

    makers = {"logistic": lambda *_: logistic_regression(), "boosting": histogram_boosting}
    if predictor not in makers:
        raise ValueError(f"The predictor must be one of {list(makers)}, but is {predictor!r}.")
    names = codes.factor_names(factors)
    fewest = min(len(codes.factor(name).known) for name in names)
    labels = tuple(count for count in labels if count <= fewest // 2)
    if not labels:
        raise NotApplicable(
            f"Few-label accuracy needs twice as many labelled images as labels, but there are only "
            f"{fewest}: pass smaller numbers."
        )
    most = max(labels)
    rest = min(test, fewest - most)

    def learned(name: str, seed: int) -> list[float]:
        parts = split(codes, codes.factor(name), most, rest, seed)
        few = (parts.first(count).standardised for count in labels)
        return [_accuracy(makers[predictor](seed, len(part.train_x)), part) for part in few]

    accuracy = np.array([[learned(name, seed + r) for name in names] for r in range(repeats)])
    means = dict(zip(labels, accuracy.mean(axis=1).T, strict=True))  # one a repeat
    spread = means if repeats > 1 else {}
    errors = {count: float(sem(values)) for count, values in spread.items()}
    of_most = accuracy[..., labels.index(most)]
    return Score(
        value=float(means[most].mean()),
        per_factor=dict(zip(names, of_most.mean(axis=0).tolist(), strict=True)),
        terms={f"accuracy_{count}": float(values.mean()) for count, values in means.items()},
        standard_error=errors.get(most),
        term_errors={f"accuracy_{count}": error for count, error in errors.items()},
        parameters={
            "factors": names,
            "labels": labels,
            "predictor": predictor,
            "repeats": repeats,
            "test": test,
            "seed": seed,
        },
    )


def _read_by_one(parts: Split, latent: int) -> Float[np.ndarray, "test"]:
    """Which test images a support vector machine on one latent gets right."""
    x, new = parts.train_x[:, [latent]], parts.test_x[:, [latent]]
    model = support_vectors().fit(x, parts.train_y)
    return (model.predict(new) == parts.test_y).astype(np.float64)


def _accuracy(model, parts: Split) -> float:
    if len(np.unique(parts.train_y)) == 1:  # too few labels to have seen a second class
        return float(np.mean(parts.test_y == parts.train_y[0]))
    return float(
        np.mean(model.fit(parts.train_x, parts.train_y).predict(parts.test_x) == parts.test_y)
    )


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
    return np.mean(values, axis=0) if values else np.full(len(labels), np.nan)


def _mean_and_error(values: list[Float[np.ndarray, "_"]]) -> tuple[float, float]:
    """Mean over factors of means over test images, and its standard error."""
    errors = [v.var() / len(v) for v in values]
    return float(np.mean([v.mean() for v in values])), float(np.sqrt(sum(errors)) / len(values))


def _sizes(codes: Codes, names: tuple[str, ...], train: int, test: int, seed: int) -> dict:
    sizes = [split_sizes(len(codes.factor(name).known), train, test) for name in names]
    used = dict(zip(names, sizes, strict=True)) if len(set(sizes)) > 1 else sizes[0]
    return {"factors": names, "train_and_test": used, "seed": seed}
