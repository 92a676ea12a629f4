"""What the scores cost at the size of dSprites: 737,280 codes, 20 latents.

Run: `python benchmarks/metrics.py [SCORE OR FAMILY ...]`. The codes are made up: latents that
follow dSprites' factors with overlap, and pruned ones. The straightforward implementations are run
on a part and extrapolated.
"""

import math
import resource
import sys
import time

import torch
from torch.distributions import Normal

from isavae.data import FactorGrid
from isavae.metrics import METRICS, Codes, evaluate
from isavae.metrics.predictors import exact_boosting
from isavae.metrics.samples import split

PROMISES = dict.fromkeys(METRICS, 60.0) | {"mig": 3.0}


def dsprites_codes() -> Codes:
    """Eight noisy mixtures of the factors, two copies of one factor, ten pruned latents."""
    names = ("shape", "scale", "orientation", "posX", "posY")
    grid = FactorGrid(names, (3, 6, 40, 32, 32), scored=names[1:])
    generator = torch.Generator().manual_seed(0)
    factors = torch.from_numpy(grid.labels_array()).float()
    factors = (factors - factors.mean(dim=0)) / factors.std(dim=0)
    mixing = torch.eye(5, 10) + 0.3 * torch.randn(5, 10, generator=generator)
    mean = factors @ mixing + 0.1 * torch.randn(len(grid), 10, generator=generator)
    pruned = 0.01 * torch.randn(len(grid), 10, generator=generator)
    mean = torch.cat([mean / mean.std(dim=0), pruned], dim=1)
    log_std = torch.full_like(mean, math.log(0.1))
    log_std[:, 10:] = 0.0
    log_std += 0.2 * torch.randn(log_std.shape, generator=generator)
    return Codes(mean, log_std.clamp(max=0.2), grid)


def sampled_mig_seconds(codes: Codes, samples: int = 20, of: int = 10_000) -> float:
    """The published way, entropies from samples against every image; H(z_j) and H(z_j | v)."""
    start = time.perf_counter()
    rows = torch.randperm(len(codes))[:samples]
    z = codes.take(rows).sample(torch.Generator().manual_seed(0))
    for one in z:
        torch.logsumexp(Normal(codes.mean, codes.log_std.exp()).log_prob(one), dim=0)
    marginal = (time.perf_counter() - start) * of / samples
    # Each class of each factor: as many samples against the images of that class.
    return marginal * (1 + len(codes.factor_names()))


def exact_dci_seconds(codes: Codes, rounds: int = 1) -> float:
    """scikit-learn's GradientBoostingClassifier a factor, from one of its hundred rounds."""
    total = 0.0
    for name in codes.factor_names():
        parts = split(codes, codes.factor(name), 10_000, 5_000, seed=0)
        model = exact_boosting(0).set_params(n_estimators=rounds)
        start = time.perf_counter()
        model.fit(parts.train_x, parts.train_y)
        total += (time.perf_counter() - start) * 100 / rounds
    return total


def main(metrics: list[str]) -> None:
    codes = dsprites_codes()
    print(f"{len(codes):,} codes, {codes.latents} latents, {torch.get_num_threads()} threads\n")
    print("| score | value | seconds | promise |\n|---|---|---|---|")
    table = evaluate(
        codes,
        metrics,
        prior=Normal(torch.zeros(codes.latents), 1.0),
        subspaces=[slice(k, k + 4) for k in range(0, 20, 4)],
        others=[Codes(codes.mean.flip(1), codes.log_std.flip(1), codes.grid)],
    )
    for row in table:
        error = row.score.standard_error
        value = f"{row.score.value:.4f}" + (f" ± {error:.4f}" if error else "")
        print(f"| {row.name} | {value} | {row.seconds:.1f} | <= {PROMISES[row.name]:.0f} |")
    families = {row.metric.family for row in table}
    for family in sorted(families):
        seconds = sum(row.seconds for row in table if row.metric.family == family)
        print(f"| all {family} | | {seconds:.1f} | |")
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\npeak memory {gigabytes:.2f} GB (promise: under 3 GB)")
    if metrics == ["all"]:
        print(f"MIG by 10,000 samples, extrapolated from 20: {sampled_mig_seconds(codes):,.0f} s")
        print(f"DCI by GradientBoosting, from one round: {exact_dci_seconds(codes):,.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:] or ["all"])
