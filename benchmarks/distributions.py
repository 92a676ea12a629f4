"""What the Lp-nested distributions cost, as ratios to torch's own in the same run.

Run: `python benchmarks/distributions.py`. Each row is the median of interleaved repetitions, so
that a busy machine slows both sides.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from torch.distributions import Independent, Normal

from isavae.distributions import LpNested, LpTree

Operation = Callable[[], object]


def medians(works: list[Operation], repetitions: int) -> list[float]:
    """Median seconds of each, measured in turns."""
    times: list[list[float]] = [[] for _ in works]
    for repetition in range(repetitions + 2):
        for work, seconds in zip(works, times, strict=True):
            start = perf_counter()
            work()
            if repetition >= 2:
                seconds.append(perf_counter() - start)
    return [median(seconds) for seconds in times]


def gradient_of_log_prob(distribution, z: torch.Tensor) -> Operation:
    def work() -> None:
        leaf = z.detach().requires_grad_()
        distribution().log_prob(leaf).sum().backward()

    return work


def row(name: str, ours: Operation, theirs: Operation, repetitions: int, promise: str) -> None:
    a, b = medians([ours, theirs], repetitions)
    print(f"| {name} | {a * 1e3:.2f} ms | {b * 1e3:.2f} ms | {a / b:.2f} | {promise} |", flush=True)


def log_probs() -> None:
    for subspaces, size, repetitions, promise in ((5, 4, 300, "<= 3"), (100, 10, 20, "<= 4")):
        n = subspaces * size
        tree = LpTree.isa(2.1, [(2.2, size)] * subspaces)
        normal = Independent(Normal(torch.zeros(n), torch.ones(n)), 1)
        fixed = LpNested(tree)
        exponents = torch.tensor(tree.exponents, requires_grad=True)
        z = torch.randn(2048, n)
        theirs = gradient_of_log_prob(lambda normal=normal: normal, z)
        name = f"log_prob and gradient, {subspaces}×{size}, batch 2048"
        ours = gradient_of_log_prob(lambda fixed=fixed: fixed, z)
        row(f"{name} / normal", ours, theirs, repetitions, promise)
        ours = gradient_of_log_prob(
            lambda tree=tree, exponents=exponents: LpNested(
                tree, exponents=exponents, validate_args=False
            ),
            z,
        )
        row(f"{name}, learned exponents / normal", ours, theirs, repetitions, "")


def sampling() -> None:
    """1e6 × 20 draws against randn, and against randn plus the same Gamma and Dirichlet draws."""
    distribution = LpNested(LpTree.isa(2.1, [(2.2, 4)] * 5))
    count = 1_000_000

    def draws() -> None:
        torch._standard_gamma(torch.full((count,), 20 / 2.1))
        torch._sample_dirichlet(torch.full((count, 5), 4 / 2.1))
        torch._sample_dirichlet(torch.full((count, 5, 4), 1 / 2.2))

    def ours() -> None:
        distribution.sample((count,))

    a, b, c = medians([ours, lambda: torch.randn(count, 20), draws], 3)
    print(
        f"| sampling 1e6 × 20 / (6 randn + Gamma and Dirichlet draws) | {a * 1e3:.0f} ms | "
        f"6 · {b * 1e3:.0f} + {c * 1e3:.0f} ms | {a / (6 * b + c):.2f} | <= 1 |",
        flush=True,
    )


def log_prob_by_leaf(z: torch.Tensor, tree: LpTree) -> torch.Tensor:
    """f(z)^p0 of an ISA tree as a loop over leaves would compute it."""
    p0, *exponents = tree.exponents
    total = torch.zeros(len(z))
    for p, subspace in zip(exponents, tree.subspaces, strict=True):
        value = torch.zeros(len(z))
        for j in range(subspace.start, subspace.stop):
            value = value + z[:, j].abs() ** p
        total = total + value ** (p0 / p)
    return -total


def against_a_loop() -> None:
    tree = LpTree.isa(2.1, [(2.2, 10)] * 100)
    distribution = LpNested(tree)
    for batch in (1, 64, 2048):
        z = torch.randn(batch, tree.n)

        def loop(z=z) -> None:
            leaf = z.detach().requires_grad_()
            log_prob_by_leaf(leaf, tree).sum().backward()

        a, b = medians([gradient_of_log_prob(lambda: distribution, z), loop], 3)
        print(
            f"| loop over 1,000 leaves / ours, batch {batch} | {b * 1e3:.1f} ms | {a * 1e3:.2f} ms "
            f"| {b / a:.0f} | >= 20 |",
            flush=True,
        )


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| what | ours / first | torch / second | ratio | promised |\n|---|---|---|---|---|")
    log_probs()
    sampling()
    against_a_loop()
