"""Scores of isavae on codes of your own: here principal components of images with known factors."""

from sklearn.decomposition import PCA

from isavae.data import load
from isavae.metrics import Codes, binned_mig

data = load("dsprites16[shape=heart, orientation=0]")  # six sizes, 32 × 32 places
pixels = data.batch(range(len(data))).flatten(1).numpy()
codes = Codes(PCA(10, random_state=0).fit_transform(pixels), factors=data.grid)
score = binned_mig(codes)
print(f"MIG of principal components: {score.value:.3f}")
for factor, gap in score.per_factor.items():
    print(f"  {factor}: {gap:.3f}")
