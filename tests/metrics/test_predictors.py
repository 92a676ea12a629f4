"""Every parameter that a supervised score depends on has the value it was defined with."""

import pytest

from isavae.metrics.predictors import (
    exact_boosting,
    histogram_boosting,
    lasso,
    logistic_regression,
    random_forest,
    support_vectors,
)

TREES = {"min_samples_split": 2, "min_samples_leaf": 1, "min_weight_fraction_leaf": 0.0}
PARAMETERS = {
    histogram_boosting: {
        "loss": "log_loss", "learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 8,
        "max_depth": 3, "min_samples_leaf": 20, "l2_regularization": 0.0, "max_features": 1.0,
        "max_bins": 255, "monotonic_cst": None, "interaction_cst": None, "early_stopping": False,
        "random_state": 7, "class_weight": None,
    },
    exact_boosting: TREES | {
        "loss": "log_loss", "learning_rate": 0.1, "n_estimators": 100, "subsample": 1.0,
        "max_depth": 3, "min_impurity_decrease": 0.0, "init": None, "max_features": None,
        "max_leaf_nodes": None, "n_iter_no_change": None, "ccp_alpha": 0.0, "random_state": 7,
    },
    random_forest: TREES | {
        "n_estimators": 100, "criterion": "gini", "max_depth": None, "max_features": 1.0,
        "max_leaf_nodes": None, "min_impurity_decrease": 0.0, "bootstrap": True,
        "class_weight": None, "ccp_alpha": 0.0, "max_samples": None, "random_state": 7,
    },
    lasso: {
        "alpha": 0.1, "fit_intercept": True, "max_iter": 10_000, "tol": 1e-4, "positive": False,
        "selection": "cyclic",
    },
    logistic_regression: {
        "C": 1.0, "tol": 1e-4, "fit_intercept": True, "class_weight": None, "solver": "lbfgs",
        "max_iter": 10_000,
    },
    support_vectors: {
        "penalty": "l2", "loss": "squared_hinge", "dual": False, "tol": 1e-4, "C": 0.01,
        "multi_class": "ovr", "fit_intercept": True, "intercept_scaling": 1,
        "class_weight": "balanced", "max_iter": 1000,
    },
}  # fmt: skip
ARGUMENTS = {
    histogram_boosting: (7, 300), exact_boosting: (7,), random_forest: (7,), lasso: (0.1,)
}  # fmt: skip


@pytest.mark.parametrize("predictor", PARAMETERS)
def test_parameters_are_those_of_the_definition(predictor):
    found = predictor(*ARGUMENTS.get(predictor, ())).get_params()
    assert {name: found[name] for name in PARAMETERS[predictor]} == PARAMETERS[predictor]
