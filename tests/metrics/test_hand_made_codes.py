"""Codes made by hand, and the answer of every score on each of them: derived, not fitted."""

import math

import pytest
import torch
from torch.distributions import Normal

from isavae.data import FactorGrid
from isavae.metrics import METRICS, Codes, evaluate
from tests import hand_made


def repeated(codes: Codes, times: int = 20) -> Codes:
    """Every image so often that predictors have enough of them."""
    labels = torch.from_numpy(codes.grid.labels_array()).repeat(times, 1).numpy()
    grid = FactorGrid(codes.grid.names, codes.grid.sizes, labels=labels)
    return Codes(codes.mean.repeat(times, 1), codes.log_std.repeat(times, 1), grid)


CASES = {  # codes, subspaces
    "perfect": (lambda: repeated(hand_made.perfect()), [[0, 1], [2, 3, 4]]),
    "rotated": (
        lambda: repeated(hand_made.rotated(math.pi / 4, hand_made.perfect())),
        [[0, 1], [2, 3, 4]],
    ),
    "duplicated": (lambda: repeated(hand_made.duplicated()), [[0, 1, 2], [3, 4, 5]]),
    "one latent": (lambda: repeated(hand_made.entangled()), [[0]]),
    "split": (lambda: repeated(hand_made.split()), [[0, 1], [2]]),
    "random": (lambda: hand_made.random(seed=7), [[0, 1], [2, 3]]),
}

THIRD, ENTROPIES = 1 / 3, [math.log(size) for size in hand_made.SIZES]
BITS, TRITS = math.log(2), math.log(3)
SOME, CHANCE = (0.02, 0.9), (0, 0.02)

# In the order of CASES. Bounds where the answer depends on bins or predictors; None where the score
# has no known answer.
ANSWERS = {
    # After a turn by 45 degrees a and b are alike in two latents, c is as before; of the two digits
    # of a split factor neither leads.
    "mig": (1, THIRD, 0, 1, 1 / 2, CHANCE),
    "binned_mig": (1, THIRD, 0, SOME, 1 / 2, CHANCE),
    "robust_mig": (1, THIRD, 0, SOME, 1 / 2, CHANCE),
    "subspace_mig": (1, 1, 0, 1, 1, (0, 0.05)),
    "jemmig": ((0.9, 1), (0.5, 0.9), (0.5, 0.9), SOME, (0.5, 0.9), (0, 0.15)),
    # One latent with all: it leads in c by log 5 - log 4. Split: one digit and all of b.
    "dci_mig": (
        1, SOME, 1,
        (ENTROPIES[2] - ENTROPIES[1]) / sum(ENTROPIES),
        (BITS + TRITS) / (2 * BITS + TRITS),
        CHANCE,
    ),
    "mig_sup": (1, SOME, 1, 0, 2 / 3, (0, 0.03)),
    # Pruned latents count as zeros in the mean over five latents.
    "modularity": (3 / 5, (0, 0.6), 1, SOME, 1, None),
    "med": (1, SOME, 1, (0, 0.15), 1, (0, 0.2)),
    "dci": (1, (0.4, 0.8), 1, (0, 0.05), 1, (0, 0.05)),
    "sap": ((0.3, 1), (0, 0.3), 0, (0.3, 1), (0.1, 0.5), CHANCE),
    "explicitness": (1, 1, 1, (0.6, 0.8), 1, (0.45, 0.55)),
    "beta_vae_metric": (1, (0.9, 1), 1, (0.6, 0.9), 1, (0.31, 0.4)),
    # The majority's vote of two latents that mix a and b, of one latent, of latents of noise.
    "factor_vae_metric": (1, (0.6, 0.7), 1, (0.3, 0.36), 1, (0.31, 0.4)),
    "irs": (1, (0.5, 0.9), 1, (0.5, 0.9), 1, (0.2, 0.5)),
    "binned_irs": (1, (0.5, 0.9), 1, (0.5, 0.9), 1, (0.2, 0.5)),
    "few_label_accuracy": ((0.95, 1), (0.95, 1), (0.95, 1), (0.4, 0.7), 1, (0.05, 0.1)),
    "active_units": (3, 3, 6, 1, 3, 4),
    "gaussian_total_correlation": (0, (0.01, 0.1), math.inf, 0, 0, (0, 0.01)),
    "gaussian_wasserstein_correlation": (0, (0.01, 0.1), (3, 6), 0, 0, (0, 0.01)),
    "latent_mutual_information": (0, (0.05, 0.2), (0.1, 0.4), 0, 0, (0, 0.06)),
    # The lasso shrinks a perfect coefficient from 1 to 0.9, its penalty being 0.1.
    "udr": (0.9, 0.9, (0, 0.8), 0.9, 0.9, 0.9),
    "agreement": (1, 1, 1, 1, 1, 1),
}  # fmt: skip


@pytest.fixture(scope="module", params=enumerate(CASES), ids=lambda case: case[1])
def case(request):
    position, name = request.param
    make, subspaces = CASES[name]
    codes = make()
    table = evaluate(codes, prior=Normal(0.0, 1.0), subspaces=subspaces, others=[codes])
    return position, codes, table


def test_every_score_gives_the_known_answer(case):
    position, _, table = case
    assert {*ANSWERS, "elbo_decomposition"} == {*METRICS}
    wrong = {}
    for name, answers in ANSWERS.items():
        found, answer = table[name].value, answers[position]
        if isinstance(answer, tuple):
            right = answer[0] <= found <= answer[1]
        else:
            right = answer is None or found == pytest.approx(answer, abs=2e-3)
        if not right:
            wrong[name] = (found, answer)
    assert not wrong


def test_the_divergence_is_that_of_the_closed_form(case):
    _, codes, table = case
    kl = 0.5 * (codes.mean**2 + (2 * codes.log_std).exp() - 1) - codes.log_std
    found = table["elbo_decomposition"]
    expected = float(kl.sum(dim=1).mean())
    assert found.value == pytest.approx(expected, abs=6 * found.standard_error + 1e-3)
    assert found.terms["index_code_information"] <= math.log(len(codes)) + 1e-3
