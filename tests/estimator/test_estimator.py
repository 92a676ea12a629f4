"""The scikit-learn face: the checks of scikit-learn itself, and what they do not cover."""

import pickle
import subprocess
import sys

import numpy as np
import pandas
import polars
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isavae.data import ImageDataset
from isavae.distributions import LpTree
from isavae.estimator import ISAVAE
from isavae.estimator.inputs import likelihood_of, objective_of, tree_of

# Most models here are trained for a moment only.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"subspaces": (2, 2), "width": 32, "max_iter": 30, "batch_size": 64, "random_state": 0}


@pytest.fixture(scope="module")
def images():
    return (load_digits().images[:400] / 16).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(images):
    return ISAVAE(**SMALL).fit(images)


SKLEARN_CHECKS = """
import warnings
from sklearn.utils.estimator_checks import check_estimator
from isavae.estimator import ISAVAE

warnings.simplefilter("ignore")  # scikit-learn warns of the checks that it skips itself
estimator = ISAVAE((2, 2), width=16, max_iter=10, batch_size=32)
# It compares at rtol 1e-7. In float32 a product depends on a row's place among the others.
inexact = {"check_methods_sample_order_invariance": "the codes are float32"}
results = check_estimator(estimator, on_fail=None, expected_failed_checks=inexact)
failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
assert not failed, failed
assert skipped <= {"check_array_api_input"}, skipped
assert len(results) > 40
"""


@pytest.mark.system
def test_scikit_learns_own_checks():
    """In a process of its own: they pass odd types on purpose, which tests refuse at the door."""
    subprocess.run([sys.executable, "-c", SKLEARN_CHECKS], check=True)


def test_codes_do_not_depend_on_the_order_of_the_images(images, fitted):
    order = np.random.default_rng(0).permutation(len(images))
    codes = fitted.transform(images)
    np.testing.assert_allclose(fitted.transform(images[order]), codes[order], rtol=1e-4, atol=1e-5)


def test_images_and_flat_features_are_the_same_thing(images, fitted):
    flat = ISAVAE(**SMALL).fit(images.reshape(len(images), -1))
    np.testing.assert_array_equal(
        flat.transform(images.reshape(len(images), -1)), fitted.transform(images)
    )
    assert fitted.inverse_transform(fitted.transform(images)).shape == images.shape
    assert flat.sample(3).shape == (3, 64)
    shaped = ISAVAE(**SMALL, image_shape=(1, 8, 8)).fit(images.reshape(len(images), -1))
    assert shaped.shape_ == fitted.shape_ == (1, 8, 8)
    channels = ISAVAE(**SMALL).fit(images[:, None].repeat(3, 1))
    assert channels.inverse_transform(channels.transform(images[:9, None].repeat(3, 1))).shape == (
        9,
        3,
        8,
        8,
    )


def test_a_data_set_is_its_images(images):
    pixels = np.rint(images[:, None] * 255).astype(np.uint8)
    data = ImageDataset(pixels)
    model = ISAVAE(**SMALL).fit(data)
    np.testing.assert_allclose(model.transform(data), model.transform(pixels), atol=1e-5)
    assert model.inverse_transform(model.transform(data)).shape == pixels.shape


def test_bytes_are_pixels(images, fitted):
    as_bytes = np.rint(images * 255).astype(np.uint8)
    np.testing.assert_allclose(
        fitted.transform(as_bytes), fitted.transform(as_bytes / 255), atol=1e-5
    )


CONTAINERS = [
    np.asarray,
    pandas.DataFrame,
    lambda X: polars.DataFrame(X, schema=[f"f{k}" for k in range(X.shape[1])]),
    torch.from_numpy,
]


@pytest.mark.filterwarnings("ignore:X (does not )?ha")  # names of features
@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("fitted_on", [np.uint8, np.float32])
def test_bytes_mean_the_same_in_every_container(images, make, fitted_on):
    """Flat bytes are numbers, flat shares shares; what is transformed has the unit of the fit."""
    flat = np.rint(images.reshape(400, -1) * 255).astype(np.uint8)
    given = flat if fitted_on == np.uint8 else (flat / 255).astype(np.float32)
    expected = ISAVAE(**SMALL).fit(given)
    estimator = ISAVAE(**SMALL).fit(make(given))
    for X in (make(given), make(flat)):
        np.testing.assert_allclose(
            estimator.transform(X), expected.transform(given), rtol=1e-4, atol=1e-4
        )
    assert expected.scale_.is_share == (fitted_on == np.float32)


def test_images_of_bytes_are_shares_whatever_holds_them(images, fitted):
    as_bytes = np.rint(images * 255).astype(np.uint8)
    by_bytes = ISAVAE(**SMALL).fit(as_bytes)
    np.testing.assert_allclose(
        by_bytes.transform(as_bytes / 255), by_bytes.transform(as_bytes), atol=1e-5
    )
    np.testing.assert_allclose(
        fitted.transform(torch.from_numpy(as_bytes)), fitted.transform(as_bytes), atol=1e-6
    )
    with pytest.raises(ValueError, match="got 0 to 255: divide them by 255"):
        by_bytes.transform(as_bytes.astype(float))


def test_channels_last_are_refused():
    with pytest.raises(ValueError, match=r"channels first; got samples of shape \(16, 16, 3\)"):
        ISAVAE(**SMALL).fit(np.random.default_rng(0).random((20, 16, 16, 3)))


def test_features_of_any_unit_are_standardised():
    """Codes, score and reconstructions follow the units of X; a column may be constant."""
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 2)) @ random.normal(size=(2, 6)) + 0.1 * random.normal(
        size=(300, 6)
    )
    units, offsets = np.array([1e6, 1e-6, 1.0, 1e3, 50.0, 1.0]), np.array([0, 0, 1e4, 5, 0, 0])
    # After few steps, in which training does not yet amplify how the two were rounded.
    settings = SMALL | {"max_iter": 10}
    plain, other = ISAVAE(**settings).fit(X), ISAVAE(**settings).fit(X * units + offsets)
    np.testing.assert_allclose(other.transform(X * units + offsets), plain.transform(X), atol=2e-4)
    assert other.score(X * units + offsets) == pytest.approx(
        plain.score(X) - np.log(units).sum(), abs=1e-2
    )
    settings = SMALL | {"max_iter": 300}
    other = ISAVAE(**settings).fit(X * units + offsets)
    restored = (other.inverse_transform(other.transform(X * units + offsets)) - offsets) / units
    assert np.square(restored - X).mean() < 0.3 * X.var(0).mean()
    assert max(np.abs(other.loss_curve_)) < 100
    constant = np.column_stack([X, np.full(300, 1e7)])
    fitted = ISAVAE(**settings).fit(constant)
    np.testing.assert_allclose(
        fitted.inverse_transform(fitted.transform(constant))[:, 6], 1e7, rtol=1e-5
    )
    with pytest.raises(ValueError, match="scale must be auto, standardise or none; got 'minmax'"):
        ISAVAE(**SMALL, scale="minmax").fit(X)
    assert (ISAVAE(**settings, scale="none").fit(X).scale_.spread == 1).all()
    assert (ISAVAE(**SMALL, scale="standardise").fit(np.abs(X) / 99).scale_.spread < 1).all()


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_a_model_that_has_learned_nothing_is_told(images):
    with pytest.warns(ConvergenceWarning, match=r"0 are, and the error is \d+% of the variance"):
        ISAVAE(**SMALL | {"max_iter": 1}).fit(images)
    ISAVAE(**SMALL | {"max_iter": 400}, beta=0.1).fit(images)


@pytest.mark.parametrize("value", [7.0, 0.1, 0.0])
def test_rows_that_are_all_the_same_are_told(value):
    """The error was given as 10^28 % of their variance."""
    with pytest.warns(ConvergenceWarning, match="all are the same"):
        ISAVAE(2, **TINY).fit(np.full((40, 4), value))


@pytest.mark.parametrize(
    ("latents", "subspaces", "tree"),
    [
        (None, None, "2.1[2.2*4, 2.2*4, 2.2*4, 2.2*4, 2.2*4]"),
        (10, None, "2.1[2.2*4, 2.2*3, 2.2*3]"),
        (np.int64(3), None, "2.1[2.2*3]"),
        (None, 4, "2.1[2.2*4, 2.2*4, 2.2*4, 2.2*4]"),
        (10, 2, "2.1[2.2*5, 2.2*5]"),
        ((2, 3), None, "2.1[2.2*2, 2.2*3]"),
        (None, [2, 3], "2.1[2.2*2, 2.2*3]"),
        (5, np.array([2, 3]), "2.1[2.2*2, 2.2*3]"),
        ("2[1*2, 3*2]", None, "2[1*2, 3*2]"),
        (LpTree.parse("1.5*4"), None, "1.5*4"),
    ],
)
def test_latents_and_subspaces_mean_what_they_say(latents, subspaces, tree):
    assert tree_of(latents, subspaces, 2.1, 2.2) == LpTree.parse(tree)


@pytest.mark.parametrize(
    ("latents", "subspaces", "sentence"),
    [
        (5, (2, 2), "must have 5 latents in all"),
        (3, 4, "3 latents in 4 subspaces"),
        (0, None, "at least one latent"),
        (None, 0, "at least one latent"),
        ("2.1[", None, "column"),
        ("2*4", 2, "leave out subspaces"),
        ((2, 3), 2, "leave out subspaces"),
    ],
)
def test_latents_and_subspaces_that_contradict_each_other(latents, subspaces, sentence):
    with pytest.raises(ValueError, match=sentence):
        tree_of(latents, subspaces, 2.1, 2.2)


def test_training_raises_the_score_and_explains_the_images(images, fitted):
    longer = ISAVAE(**SMALL | {"max_iter": 400, "width": 128, "beta": 0.1}).fit(images)
    assert longer.score(images) > fitted.score(images)
    assert len(longer.loss_curve_) == longer.n_iter_ == 400
    error = np.square(longer.inverse_transform(longer.transform(images)) - images).mean()
    assert error < 0.7 * images.var(0).mean()


def test_score_is_the_elbo(images):
    """The score is E log p(x|z) - KL by a closed form and many draws, within five errors."""
    telling = ISAVAE(**SMALL | {"max_iter": 600, "likelihood": "gaussian(0.1)"}).fit(images)
    torch.manual_seed(0)
    model, x = telling.model_, torch.from_numpy(images[:, None])
    with torch.no_grad():
        outputs = [model(x) for _ in range(300)]
    kls = torch.stack([o.posterior.log_prob(o.z) - o.prior.log_prob(o.z) for o in outputs])
    elbos = torch.stack([o.likelihood.log_prob(x) for o in outputs]) - kls
    error = elbos.std(0).square().mean().sqrt() / len(x) ** 0.5
    assert kls.mean() > 10 * error
    assert abs(telling.score(images) - elbos.mean()) < 5 * error
    assert telling.score(images) == telling.score(images)


def test_reproducible_picklable_and_clonable(images, fitted):
    codes = fitted.transform(images)
    state = torch.get_rng_state()
    again = clone(fitted).fit(images)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(again.transform(images), codes)
    np.testing.assert_array_equal(again.sample(5), fitted.sample(5))
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.transform(images), codes)
    restored.partial_fit(images)
    np.testing.assert_array_equal(
        restored.transform(images), again.partial_fit(images).transform(images)
    )
    other = ISAVAE(**SMALL | {"random_state": 1}).fit(images)
    assert not np.allclose(other.transform(images), codes)


def test_partial_fit_takes_one_pass_a_call(images):
    estimator = ISAVAE(**SMALL)
    assert estimator.partial_fit(images).n_iter_ == 7  # 400 / 64, rounded up
    first = estimator.score(images)
    for _ in range(20):
        estimator.partial_fit(images)
    assert estimator.n_iter_ == 21 * 7
    assert estimator.score(images) > first


def test_only_a_verbose_training_says_its_losses(images, capsys):
    ISAVAE(**SMALL).fit(images)
    assert capsys.readouterr().out == ""
    ISAVAE(**SMALL, verbose=True).fit(images)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"step {k}/30" for k in range(1, 31)]


def test_a_loss_that_overflows_is_named_by_its_step(images):
    estimator = ISAVAE(**SMALL, likelihood="gaussian").partial_fit(2 * images)
    assert estimator.n_iter_ == 7
    with pytest.raises(ArithmeticError, match="not from step 8 on"):
        estimator.partial_fit(images * np.float32(1e30))


def test_auto_takes_bernoulli_only_where_all_values_are_shares():
    assert likelihood_of("auto", torch.tensor([[0.0, 1.0]])) == "bernoulli"
    assert likelihood_of("auto", torch.tensor([[-0.1, 1.0]])) == "gaussian"
    assert likelihood_of("auto", torch.tensor([[0.0, 1.1]])) == "gaussian"
    assert likelihood_of("laplace", torch.tensor([[0.0, 1.0]])) == "laplace"


def test_a_named_objective_takes_beta():
    assert objective_of("beta-vae", 4.0).beta == objective_of("beta-tcvae", 4.0).beta == 4.0


def test_fewer_samples_than_a_batch(images):
    assert ISAVAE(**SMALL).fit(images[:10]).n_iter_ == 30


def test_names_and_containers(images, fitted):
    flat = images.reshape(len(images), -1)
    assert list(fitted.get_feature_names_out()) == ["z1", "z2", "z3", "z4"]
    estimator = clone(fitted).fit(flat)
    frame = estimator.set_output(transform="pandas").transform(flat)
    assert list(frame.columns) == list(fitted.get_feature_names_out())
    table = estimator.set_output(transform="polars").transform(flat)
    assert isinstance(table, polars.DataFrame)
    assert table.shape == (400, 4)


@pytest.mark.slow
def test_the_defaults_keep_more_of_digits_than_pca():
    """In five folds, by three seeds: variance explained, and what a classifier makes of codes."""
    X, y = load_digits(return_X_y=True)
    margins = []
    for seed in range(3):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        for rows, others in folds.split(X, y):
            found = []
            for model in (ISAVAE(random_state=seed), PCA(20)):
                codes = model.fit_transform(X[rows])
                others_codes = model.transform(X[others])
                errors = np.square(model.inverse_transform(others_codes) - X[others]).sum()
                classifier = LogisticRegression(max_iter=10_000).fit(codes, y[rows])
                spread = np.square(X[others] - X[rows].mean(0)).sum()
                found.append((1 - errors / spread, classifier.score(others_codes, y[others])))
            margins.append(np.subtract(*found))
    explained, accuracy = np.mean(margins, axis=0)  # here 0.026 and 0.005
    assert explained > 0.015
    assert accuracy > 0


@pytest.mark.system
def test_pipeline_and_grid_search():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    model = ISAVAE(**SMALL | {"max_iter": 60})
    pipeline = make_pipeline(StandardScaler(), model, LogisticRegression(max_iter=2000))
    search = GridSearchCV(pipeline, {"isavae__beta": [0.1, 1.0]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.3
    assert search.best_estimator_[1].likelihood_ == "gaussian"
    alone = GridSearchCV(model, {"subspaces": [(2,), (2, 2)]}, cv=2).fit(X / 16)
    assert np.isfinite(alone.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"p": (2.0, 3.0, 4.0)}, "one per subspace, 2; got 3"),
        ({"p": -1.0}, "positive"),
        ({"likelihood": "poisson"}, "likelihood must be one of"),
        ({"objective": "gan"}, "objective must be one of"),
        ({"network": "transformer"}, "network must be one of"),
        ({"image_shape": (3, 8, 8)}, "as many pixels as a sample has values, 64"),
        ({"device": "abacus"}, "auto, cpu"),
        ({"max_iter": 0}, "max_iter must be 1 or more; got 0"),
        ({"batch_size": 0}, "batch_size must be 1 or more; got 0"),
        ({"network": "conv", "batch_size": 1}, "must have two images or more"),
    ],
)
def test_bad_settings_get_a_sentence(settings, sentence, images):
    with pytest.raises(ValueError, match=sentence):
        ISAVAE(**SMALL | settings).fit(images)


def test_bad_input_gets_a_sentence(images, fitted):
    with pytest.raises(ValueError, match="resize them"):
        fitted.transform(images[:, :4])
    with pytest.raises(ValueError, match="one column per latent, 4; got 3"):
        fitted.inverse_transform(np.zeros((2, 3)))
    with pytest.raises(ArithmeticError, match="standardise"):
        ISAVAE(**SMALL | {"learning_rate": 1e30}).fit(images)


X = np.random.default_rng(0).normal(size=(40, 4))
DAYS = pandas.date_range("2024-03-01", periods=len(X))
TINY = {"width": 8, "max_iter": 2, "random_state": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latents": 4.0}, r"latents must be a whole number; got 4\.0"),
        ({"latents": True}, "latents must be a whole number; got True"),
        ({"latents": (2.5, 2)}, r"latents must list the number .* got \[2\.5, 2\]"),
        ({"latents": (2, 0)}, r"latents must list the number .* got \[2, 0\]"),
        ({"latents": []}, r"latents must list the number .* got \[\]"),
        ({"subspaces": 2.0}, r"subspaces must be a whole number; got 2\.0"),
        ({"latents": 2, "max_iter": "5"}, "max_iter must be a whole number; got '5'"),
        ({"latents": 2, "batch_size": True}, "batch_size must be a whole number; got True"),
    ],
)
def test_arguments_that_count_are_whole_numbers(arguments, message):
    """`latents=4.0` was taken for five subspaces of four, `(2.5, 2)` for (2, 2)."""
    with pytest.raises(ValueError, match=message):
        ISAVAE().set_params(**(TINY | arguments)).fit(X)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ma.masked_array(X, X > 1), "values must not be masked"),
        (1e30 * X, r"between 1e-18 and 1e\+18 in size"),
        (1e-30 * X, r"between 1e-18 and 1e\+18 in size"),
        (X.reshape(5, 2, 2, 2, 4), r"rows must be .*; got shape \(5, 2, 2, 2, 4\): reshape them"),
        (DAYS.to_numpy()[:, None], r"must be numbers; they are datetime64\[\w+\]: subtract a date"),
        (pandas.DataFrame({"a": range(40), "b": DAYS}), "column 'b' holds datetime64"),
        (pandas.DataFrame({"b": DAYS}), "column 'b' holds datetime64"),
        (pandas.DataFrame({"b": DAYS.tz_localize("UTC")}), r"column 'b' holds datetime64.*UTC"),
        (pandas.DataFrame({"b": DAYS - DAYS[0]}), "column 'b' holds timedelta64"),
        (pandas.DataFrame({"b": DAYS.to_period("D")}), "column 'b' holds period"),
        (polars.DataFrame({"a": range(40), "b": list(DAYS.date)}), "column 'b' holds Date"),
        (polars.DataFrame({"b": DAYS - DAYS[0]}), "column 'b' holds Duration"),
        (pandas.DataFrame({"a": range(40), "b": ["1", "x"] * 20}), "column 'b' holds text, .* 'x'"),
        (pandas.DataFrame({"b": pandas.Categorical(["u", "v"] * 20)}), "column 'b' holds text"),
        (polars.DataFrame({"b": ["u", None] * 20}), "column 'b' holds text, such as 'u'"),
    ],
)
def test_rows_that_would_be_read_as_others_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        ISAVAE(2, **TINY).fit(rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_other_kinds_of_rows_and_exponents_mean_the_same():
    usual = ISAVAE((2, 2), p=(2.0, 3.0), **TINY).fit(X)
    for p in (np.array([2.0, 3.0]), [2.0, 3.0]):
        assert ISAVAE((2, 2), p=p, **TINY).fit(X).tree_ == usual.tree_
    tensor = torch.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(usual.transform(tensor), usual.transform(X))
    half = torch.tensor(X).bfloat16()
    np.testing.assert_array_equal(usual.transform(half), usual.transform(half.double().numpy()))
    unmasked = np.ma.masked_array(X, np.zeros_like(X, dtype=bool))
    np.testing.assert_array_equal(usual.transform(unmasked), usual.transform(X))
    with pytest.raises(ValueError, match="n_samples must be 0 or more; got -1"):
        usual.sample(-1)
    assert usual.sample(0).shape == (0, 4)
