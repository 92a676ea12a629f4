"""`CodesMetric` in batches, collections and processes against `evaluate` of all codes."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import distributed, multiprocessing

from isavae.metrics import METRICS, Codes, NotApplicable, evaluate, subspace_mig
from tests import hand_made

torchmetrics = pytest.importorskip("torchmetrics", reason="needs isavae[torchmetrics]")

from isavae.metrics.torchmetrics import CodesMetric  # noqa: E402

WHOLE = hand_made.overlapping()
LABELS = torch.from_numpy(WHOLE.grid.labels_array())
NAMES = WHOLE.grid.names
# What needs neither predictors nor a prior, subspaces or other runs.
PLAIN = [
    name
    for name, metric in METRICS.items()
    if not {"prior", "subspaces", "others"} & set(metric.needs)
    and (metric.family != "supervised" or name in ("irs", "binned_irs", "factor_vae_metric"))
]


def batches(size=17):
    parts = (WHOLE.mean, WHOLE.log_std, LABELS)
    for mean, log_std, labels in zip(*(part.split(size) for part in parts), strict=True):
        yield (mean, log_std), labels


@pytest.mark.parametrize("name", PLAIN)
def test_batches_score_as_all_codes_together(name):
    assert len(PLAIN) == 15
    metric = CodesMetric(name, factors=NAMES)
    for codes, labels in batches():
        metric.update(codes, labels)
    expected = evaluate(WHOLE, name)[name].value
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)
    assert metric.higher_is_better is {"higher": True, "lower": False}.get(METRICS[name].better)
    metric.reset()
    metric.update((WHOLE.mean[:30], WHOLE.log_std[:30]), LABELS[:30])
    part = Codes(WHOLE.mean[:30], WHOLE.log_std[:30], dict(zip(NAMES, LABELS[:30].T, strict=True)))
    assert float(metric.compute()) == pytest.approx(evaluate(part, name)[name].value, abs=1e-6)


def test_functions_of_codes_and_codes_without_labels():
    metric = CodesMetric(partial(subspace_mig, subspaces=[[0, 1], [2, 3]]))
    for codes, labels in batches():
        metric.update(codes, labels)
    expected = subspace_mig(WHOLE, [[0, 1], [2, 3]]).value
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)
    units = CodesMetric("active_units")
    units.update(torch.tensor([[0.0, 1.0], [0.0, 3.0]]))
    assert float(units.compute()) == 1


def test_unknown_labels_and_bins_are_those_of_codes():
    age = torch.arange(60.0)
    labels = torch.where(age < 10, -1.0, age)
    metric = CodesMetric("binned_mig", factors=["age"], unknown=-1, bins=5)
    metric.update(age[:, None], labels)
    codes = Codes(age[:, None], None, {"age": labels}, unknown=-1, bins=5)
    assert codes.binned() == {"age": 5}
    expected = evaluate(codes, "binned_mig")["binned_mig"].value
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)


def test_a_collection_shares_the_codes_and_a_call_scores_the_batch():
    collection = torchmetrics.MetricCollection({n: CodesMetric(n) for n in ("mig", "med", "irs")})
    for codes, labels in batches(20):
        collection.update(codes, labels)
    assert [len(group) for group in collection.compute_groups.values()] == [3]
    for name, value in collection.compute().items():
        assert float(value) == pytest.approx(evaluate(WHOLE, name)[name].value, abs=1e-6)
    metric = CodesMetric("irs")
    first = metric(WHOLE.mean[:20], LABELS[:20])
    alone = Codes(WHOLE.mean[:20], None, LABELS[:20])
    assert float(first) == pytest.approx(evaluate(alone, "irs")["irs"].value, abs=1e-6)
    metric.update(WHOLE.mean[20:], LABELS[20:])
    assert float(metric.compute()) == pytest.approx(evaluate(WHOLE, "irs")["irs"].value, abs=1e-6)


def test_copies_keep_what_they_have_seen():
    metric = CodesMetric("irs")
    metric.update(WHOLE.mean, LABELS)
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert float(other.compute()) == float(metric.compute()) > 0


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="not 'migg'"):
        CodesMetric("migg")
    metric = CodesMetric("mig")
    with pytest.raises(ValueError, match="are 3 for 4 codes"):
        metric.update(torch.zeros(4, 2), torch.zeros(3, 1))
    metric.update(WHOLE.mean, LABELS)
    with pytest.raises(NotApplicable, match="mig needs posterior standard deviations"):
        metric.compute()
    named = CodesMetric("irs", factors=["a", "b"])
    named.update(WHOLE.mean, LABELS)
    with pytest.raises(ValueError, match=r"of the factors \('a', 'b'\), but have 3: name"):
        named.compute()
    with (
        pytest.warns(UserWarning, match="before the ``update``"),  # torchmetrics'
        pytest.raises(NotApplicable, match="there are none yet: call `update`"),
    ):
        CodesMetric("mig").compute()


def test_batches_may_be_empty():
    metric = CodesMetric("irs")
    metric.update(WHOLE.mean[:0], LABELS[:0])
    metric.update(WHOLE.mean, LABELS)
    assert float(metric.compute()) == pytest.approx(evaluate(WHOLE, "irs")["irs"].value, abs=1e-6)


def score_a_share(rank, meeting, found):
    distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    metric = CodesMetric("mig")
    for position, (codes, labels) in enumerate(batches(10)):
        if position % 2 == rank:
            metric.update(codes, labels)
    found.put((rank, float(metric.compute())))
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.system
def test_processes_score_their_codes_together(tmp_path):
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    multiprocessing.start_processes(
        score_a_share, (str(tmp_path / "meeting"), found), nprocs=2, start_method="fork"
    )
    expected = evaluate(WHOLE, "mig")["mig"].value
    assert sorted(found.get() for _ in range(2)) == [
        (rank, pytest.approx(expected, abs=1e-6)) for rank in range(2)
    ]
