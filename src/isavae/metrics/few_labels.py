"""Accuracy of predictors that learn factors from codes with few labels."""

from collections.abc import Sequence

import numpy as np

from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.predictors import correct, histogram_boosting, logistic_regression
from isavae.metrics.samples import split
from isavae.metrics.score import Score


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
        labels: Numbers of train images, one or more; `terms` has the mean accuracy for each. Those
            above half of the labelled images are left out.
        predictor: `logistic` regression on standardised means, or `boosting`.
        repeats: How many train sets to draw; the standard errors are over them.
        test: Number of test images.
        seed: Seed of the draws.

    Raises:
        ValueError: If there is no such predictor, too few images for any of the numbers, or a
            number below 1.
    """
    from scipy.stats import sem

    makers = {"logistic": lambda *_: logistic_regression(), "boosting": histogram_boosting}
    if predictor not in makers:
        raise ValueError(f"The predictor must be one of {list(makers)}, but is {predictor!r}.")
    names = codes.factor_names(factors)
    fewest = min(len(codes.factor(name).known) for name in names)
    labels = _possible(labels, repeats, test, fewest)
    most = max(labels)
    rest = min(test, fewest - most)

    def learned(name: str, seed: int) -> list[float]:
        parts = split(codes, codes.factor(name), most, rest, seed)
        few = (parts.first(count).standardised for count in labels)
        return [
            float(correct(makers[predictor](seed, len(part.train_x)), part).mean()) for part in few
        ]

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


def _possible(labels: Sequence[int], repeats: int, test: int, images: int) -> tuple[int, ...]:
    """The numbers of labels that so many labelled images allow.

    Raises:
        ValueError: If a number is below 1.
        NotApplicable: If none is possible.
    """
    if not labels or min(*labels, repeats, test) < 1:
        raise ValueError(
            "The numbers of labels, repeats and test images must be 1 or more, not "
            f"{tuple(labels)}, {repeats} and {test}: leave them out for the customary ones."
        )
    possible = tuple(count for count in labels if count <= images // 2)
    if not possible:
        raise NotApplicable(
            f"Few-label accuracy needs twice as many labelled images as labels, but there are only "
            f"{images}: pass smaller numbers."
        )
    return possible
