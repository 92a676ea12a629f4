"""Scores that hold one factor and let the others vary: FactorVAE's, beta-VAE's and IRS."""

from collections.abc import Mapping, Sequence

import numpy as np

from isavae.metrics.bins import check_bins
from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.predictors import logistic_regression
from isavae.metrics.samples import ClassSampler
from isavae.metrics.score import Score

POINTS_AT_ONCE = 512  # 512 points x 64 images x 20 latents, float32: 2.6 MB


def factor_vae_metric(
    codes: Codes,
    factors: Sequence[str] | None = None,
    train: int = 10_000,
    test: int = 5_000,
    batch_size: int = 64,
    minimum_std: float = 0.05,
    seed: int = 0,
) -> Score:
    """FactorVAE metric (Kim and Mnih 2018), with the sizes of Locatello et al. (2019).

    A point is a batch of images that share one factor's class; its vote is the latent with the
    least variance relative to that over all images. The score is the accuracy, on new points, of
    telling the factor from the vote by the majority among the train points.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        train: Number of train points.
        test: Number of test points.
        batch_size: Images in a point.
        minimum_std: Latents whose means have a smaller standard deviation are left out.
        seed: Seed of points and images.
    """
    names = codes.factor_names(factors)
    draws = [ClassSampler(codes.factor(name)) for name in names]
    mean = codes.mean.numpy()
    variances = mean.var(axis=0, ddof=1, dtype=np.float64)
    active = np.flatnonzero(variances > minimum_std**2)
    random = np.random.default_rng(seed)

    def votes(points: int) -> np.ndarray:
        held = random.integers(len(names), size=points)
        table = np.zeros((len(names), len(active)), dtype=np.int64)
        for k, draw in enumerate(draws):
            for size in _pieces(int(np.count_nonzero(held == k))):
                first = draw.any_labelled(size, random)
                rows = draw.same_class(np.repeat(first[:, None], batch_size, axis=1), random)
                batch = mean[rows][:, :, active]
                spread = batch.var(axis=1, ddof=1, dtype=np.float64) / variances[active]
                table[k] += np.bincount(spread.argmin(axis=1), minlength=len(active))
        return table

    parameters = {
        "factors": names,
        "train": train,
        "test": test,
        "batch_size": batch_size,
        "minimum_std": minimum_std,
        "seed": seed,
    }
    if len(active) == 0:
        return Score(value=0.0, terms={"active": 0.0}, parameters=parameters)
    majority = votes(train).argmax(axis=0)
    tested = votes(test)
    accuracy = float(tested[majority, np.arange(len(active))].sum() / test)
    return Score(
        value=accuracy,
        terms={"active": float(len(active))},
        standard_error=(accuracy * (1 - accuracy) / test) ** 0.5,
        parameters=parameters,
    )


def beta_vae_metric(
    codes: Codes,
    factors: Sequence[str] | None = None,
    train: int = 10_000,
    test: int = 5_000,
    batch_size: int = 64,
    seed: int = 0,
) -> Score:
    """Beta-VAE metric (Higgins et al. 2017), with the sizes of Locatello et al. (2019).

    A point is the mean of |z - z'| over pairs of images that share one factor's class, a different
    class in each pair. The score is the accuracy of a logistic regression that tells the factor.

    Args:
        codes: Codes; only their means count.
        factors: Names of two or more; by default the grid's scored factors.
        train: Number of train points.
        test: Number of test points.
        batch_size: Pairs in a point.
        seed: Seed of points and images.

    Raises:
        NotApplicable: For fewer than two factors.
    """
    names = codes.factor_names(factors)
    if len(names) < 2:
        raise NotApplicable(
            f"The beta-VAE metric tells factors apart, so it needs two or more, but has {names}."
        )
    draws = [ClassSampler(codes.factor(name)) for name in names]
    mean = codes.mean.numpy()
    random = np.random.default_rng(seed)
    held = np.concatenate([np.arange(len(names)), random.integers(len(names), size=train + test)])
    held = held[: train + test]  # each factor is among the train points
    points = np.empty((train + test, codes.latents))
    for k, draw in enumerate(draws):
        chosen = np.flatnonzero(held == k)
        for some in np.split(chosen, np.cumsum(_pieces(len(chosen)))[:-1]):
            first = draw.any_labelled((len(some), batch_size), random)
            points[some] = np.abs(mean[first] - mean[draw.same_class(first, random)]).mean(axis=1)
    model = logistic_regression().fit(points[:train], held[:train])
    accuracy = float(np.mean(model.predict(points[train:]) == held[train:]))
    return Score(
        value=accuracy,
        standard_error=(accuracy * (1 - accuracy) / test) ** 0.5,
        parameters={
            "factors": names,
            "train": train,
            "test": test,
            "batch_size": batch_size,
            "seed": seed,
            "predictor": repr(logistic_regression()),
        },
    )


def irs(codes: Codes, factors: Sequence[str] | None = None, quantile: float = 0.99) -> Score:
    """Interventional robustness score (Suter et al. 2019) over all images, given single classes.

    1 - d_jk / D_j is largest for the factor k whose class determines latent j best: d_jk is the
    `quantile` of |z_j - E[z_j | v_k]| given v_k, averaged over the classes, D_j the largest
    |z_j - E z_j|. The score is the mean over latents weighted by D_j, without constant latents.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        quantile: 1 is the maximum, as in the paper; 0.99 is customary and more robust.

    Raises:
        ValueError: For a quantile outside [0, 1].
    """
    names = codes.factor_names(factors)
    groups = {name: codes.factor(name).labels.numpy() for name in names}
    return _robustness(codes, groups, quantile, {"factors": names, "quantile": quantile})


def binned_irs(
    codes: Codes, factors: Sequence[str] | None = None, quantile: float = 0.99, bins: int = 20
) -> Score:
    """The `irs` of disentanglement_lib, which holds bins of class numbers in place of classes.

    A factor of more than `bins` classes moves within a bin, which its latent follows: a perfect
    code scores below 1.

    Args:
        codes: Codes; only their means count.
        factors: Names; by default the grid's scored factors.
        quantile: As in `irs`.
        bins: Equal bins between each factor's least and largest class number, two or more.

    Raises:
        ValueError: For fewer than two bins, or a quantile outside [0, 1].
    """
    check_bins(bins)
    names = codes.factor_names(factors)
    assert codes.grid is not None  # the codes have factors
    groups = {name: _binned(codes.grid.column(name), bins) for name in names}
    parameters = {"factors": names, "quantile": quantile, "bins": bins}
    return _robustness(codes, groups, quantile, parameters)


def _binned(column: np.ndarray, bins: int) -> np.ndarray:
    """The bin of every class number, renumbered over the bins that occur; -1 stays unknown."""
    known = column >= 0
    edges = np.histogram_bin_edges(column[known], bins)[:-1]
    found = np.full(len(column), -1)
    found[known] = np.unique(np.digitize(column[known], edges), return_inverse=True)[1]
    return found


def _robustness(
    codes: Codes,
    groups: Mapping[str, np.ndarray],
    quantile: float,
    parameters: Mapping[str, object],
) -> Score:
    """IRS of the rows that share a group of each factor; group -1 is left out."""
    if not 0 <= quantile <= 1:
        raise ValueError(
            f"`quantile` must be between 0 and 1, but is {quantile}: 0.99 is customary."
        )
    mean = codes.mean.double().numpy()
    mean = mean[:, mean.max(axis=0) > mean.min(axis=0)]  # a variance is not 0 by rounding
    largest = np.abs(mean - mean.mean(axis=0)).max(axis=0)
    robustness = np.empty((mean.shape[1], len(groups)))
    for k, labels in enumerate(groups.values()):
        rows = [mean[labels == v] for v in range(labels.max() + 1)]
        moved = [np.quantile(np.abs(r - r.mean(axis=0)), quantile, axis=0) for r in rows]
        robustness[:, k] = 1 - np.mean(moved, axis=0) / largest
    score = np.average(robustness.max(axis=1), weights=largest) if largest.sum() else 0.0
    return Score(
        value=float(score),
        terms={"active": float(len(largest))},
        parameters={**parameters, "images": len(codes)},
    )


def _pieces(points: int) -> list[int]:
    """Sizes of blocks of points that fit the cache."""
    whole, rest = divmod(points, POINTS_AT_ONCE)
    return [POINTS_AT_ONCE] * whole + ([rest] if rest or not whole else [])
