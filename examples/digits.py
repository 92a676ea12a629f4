"""Scikit-learn: latents of handwritten digits as features of a classifier, with few labels."""

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from isavae.estimator import ISAVAE

X, y = load_digits(return_X_y=True)
X = X / 16
labelled, others, label, truth = train_test_split(X, y, train_size=200, random_state=0)
for encoder in (
    ISAVAE(8, random_state=0),
    PCA(8, random_state=0),
):
    encoder.fit(X)  # without labels
    classifier = LogisticRegression(max_iter=2000).fit(encoder.transform(labelled), label)
    accuracy = classifier.score(encoder.transform(others), truth)
    print(f"{type(encoder).__name__}: 8 features, 200 labels, {accuracy:.0%} of the others right")
