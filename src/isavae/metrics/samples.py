"""Seeded samples of images: train and test rows, and images with the same class of a factor."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from isavae.metrics.codes import Codes, NotApplicable
from isavae.metrics.factor_classes import Factor


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Means and classes of disjoint train and test images, for one factor."""

    train_x: Float[np.ndarray, "train latents"]
    train_y: Int[np.ndarray, "train"]
    test_x: Float[np.ndarray, "test latents"]
    test_y: Int[np.ndarray, "test"]

    @property
    def has_one_class(self) -> bool:
        """Whether the train images show one class only, from which no predictor can be learned."""
        return bool((self.train_y == self.train_y[0]).all())

    @property
    def standardised(self) -> "Split":
        """Latents with mean 0 and variance 1 over the train images; constant ones stay constant."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(self.train_x)
        train, test = scaler.transform(self.train_x), scaler.transform(self.test_x)
        return Split(train, self.train_y, test, self.test_y)

    def with_latent(self, latent: int) -> "Split":
        """The same images with one latent only."""
        train, test = self.train_x[:, [latent]], self.test_x[:, [latent]]
        return Split(train, self.train_y, test, self.test_y)

    def first(self, count: int) -> "Split":
        """The same test images, and only the first `count` train images."""
        return Split(self.train_x[:count], self.train_y[:count], self.test_x, self.test_y)


def split(codes: Codes, factor: Factor, train: int, test: int, seed: int) -> Split:
    """Disjoint train and test images whose class is known, at random without replacement.

    With fewer than train + test such images both parts shrink in proportion.
    """
    known = factor.known.numpy()
    rows = np.random.default_rng(seed).permutation(known)
    train, test = split_sizes(len(known), train, test)
    first, second = rows[:train], rows[train : train + test]

    def means(chosen: np.ndarray) -> np.ndarray:
        return codes.mean[chosen].double().numpy()  # of the chosen only: codes may be large

    labels = factor.labels.numpy()
    return Split(means(first), labels[first], means(second), labels[second])


def split_sizes(available: int, train: int, test: int) -> tuple[int, int]:
    """Sizes of the two parts of a split of so many images.

    Raises:
        ValueError: If a part is to be empty.
        NotApplicable: If there are fewer than two images.
    """
    if train < 1 or test < 1:
        raise ValueError(
            f"A split needs one or more train and test images, not {train} and {test}: leave the "
            "sizes out for the customary ones."
        )
    if available < 2:
        raise NotApplicable(
            f"A split needs two or more labelled images, but there are {available}: label more."
        )
    if train + test <= available:
        return train, test
    train = min(max(1, available * train // (train + test)), available - 1)
    return train, available - train


@final
class ClassSampler:
    """Draws images that share the class of one factor, each image of the class equally likely."""

    def __init__(self, factor: Factor) -> None:
        labels = factor.labels.numpy()
        self.labels = labels
        self.known = factor.known.numpy()
        self.order = np.argsort(labels, kind="stable")[len(labels) - len(self.known) :]
        self.counts = factor.counts.numpy()
        self.starts = np.cumsum(self.counts) - self.counts

    def any_labelled(self, size: tuple[int, ...] | int, random: np.random.Generator) -> np.ndarray:
        """Images whose class is known."""
        return self.known[random.integers(len(self.known), size=size)]

    def same_class(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """For each image, one of the same class (possibly itself)."""
        classes = self.labels[rows]
        within = (random.random(rows.shape) * self.counts[classes]).astype(np.int64)
        return self.order[self.starts[classes] + within]
