"""The classifier of fused classifiers: an estimator like any other, and its fusing learned out of fold."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import SkipTestWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from transfuse.doors.sklearn import FusionClassifier
from transfuse.errors import UserError

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["ape", "bee", "cat"])[Y]
PAIR = [("near", KNeighborsClassifier(9)), ("bayes", GaussianNB())]


def test_it_passes_scikit_learn_s_own_checks():
    with warnings.catch_warnings():
        # Checks of what is not installed, and those that fit a few rows of noise.
        warnings.simplefilter("ignore", SkipTestWarning)
        members = [("bayes", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=3))]
        done = check_estimator(FusionClassifier(members, folds=2), on_skip=None)
    assert {check["status"] for check in done} <= {"passed", "skipped"}
    assert sum(check["status"] == "passed" for check in done) > 40


def test_the_mean_is_the_mean_of_the_members_fitted_to_all_rows():
    made = FusionClassifier(PAIR, method="outputs/mean_prob").fit(X, NAMES)
    alone = [member.fit(X, NAMES).predict_proba(X) for _, member in PAIR]
    np.testing.assert_allclose(made.predict_proba(X), np.mean(alone, axis=0), atol=1e-12)
    assert made.out_of_fold_ is None
    assert list(made.predict(X[:3])) == ["ape"] * 3


def test_a_member_that_memorises_is_not_believed():
    """A tree of any depth knows its training rows by heart; labels are noise, so out of fold it is worth nothing."""
    noise = np.random.default_rng(0).integers(0, 2, 200)
    columns = np.random.default_rng(1).normal(size=(200, 5))
    members = [("tree", DecisionTreeClassifier()), ("line", LogisticRegression())]
    made = FusionClassifier(members, method="outputs/convex").fit(columns, noise)
    assert made.estimators_[0].score(columns, noise) == 1
    assert made.out_of_fold_[0].argmax(1).astype(bool).__eq__(noise.astype(bool)).mean() < 0.65
    assert made.predict_proba(columns)[np.arange(200), noise].mean() < 0.7


def test_the_same_seed_gives_the_same_numbers_and_the_order_of_other_draws_does_not_matter():
    pair = [("tree", DecisionTreeClassifier(max_features=1)), ("bayes", GaussianNB())]
    made = [FusionClassifier(pair, seed=seed).fit(X, Y) for seed in (0, 0, 1)]
    assert np.array_equal(made[0].predict_proba(X), made[1].predict_proba(X))
    assert not np.array_equal(made[0].out_of_fold_, made[2].out_of_fold_)


def test_fitted_members_are_taken_as_they_are_and_heard_of_the_classes_they_know():
    half, rest = slice(None, None, 2), slice(1, None, 2)
    some = Y[half] < 2
    narrow, wide = GaussianNB().fit(X[half][some], NAMES[half][some]), GaussianNB().fit(X[half], NAMES[half])
    made = FusionClassifier([("narrow", narrow), ("wide", wide)], method="outputs/mean_prob", prefit=True)
    found = made.fit(X[rest], NAMES[rest]).predict(X[rest])
    assert (found == NAMES[rest]).mean() > 0.9
    assert made.estimators_[0] is narrow


def test_a_class_with_a_single_row_is_no_reason_to_fail():
    few = np.concatenate([np.zeros(10), np.ones(9), [2]]).astype(int)
    made = FusionClassifier([("near", KNeighborsClassifier(3)), ("bayes", GaussianNB())]).fit(X[:20], few)
    assert made.predict_proba(X[:4]).shape == (4, 3)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"method": "features/concat"}, "fuses no predictions"),
        ({"method": "outputs/convexx"}, "unknown method"),
        ({"settings": {"strength": 1}}, "strength"),
        ({"estimators": [("ridge", RidgeClassifier())]}, "CalibratedClassifierCV"),
        ({"estimators": []}, "no estimator"),
        ({"prefit": True}, "must be given"),
    ],
)
def test_what_cannot_be_is_told(settings, says):
    with pytest.raises(UserError, match=says):
        FusionClassifier(**settings).fit(X, Y)


def test_parameters_inside_are_known_by_the_names_scikit_learn_gives_them():
    made = FusionClassifier([("near", KNeighborsClassifier(9)), ("bayes", GaussianNB())])
    known = made.get_params()
    assert known["near__n_neighbors"] == 9 and known["bayes"] is made.estimators[1][1]
    assert known["settings__steps"] == 300
    assert not [name for name in made.get_params(deep=False) if "__" in name]
    made.set_params(near__n_neighbors=3, bayes=DecisionTreeClassifier(max_depth=2), bayes__max_depth=4)
    assert made.get_params()["near__n_neighbors"] == 3 and made.get_params()["bayes__max_depth"] == 4
    with pytest.raises(ValueError, match="Invalid parameter"):
        made.set_params(far__n_neighbors=3)


def test_a_clone_has_the_same_parameters_and_shares_no_member():
    pair = [("near", KNeighborsClassifier(3)), ("bayes", GaussianNB())]
    made = FusionClassifier(pair).set_params(settings__steps=50)
    again = clone(made)
    assert again.get_params()["near__n_neighbors"] == 3 and again.get_params()["settings__steps"] == 50
    again.set_params(near__n_neighbors=7, settings__steps=90)
    assert pair[0][1].n_neighbors == 3 and made.get_params()["settings__steps"] == 50


def test_a_search_reaches_members_settings_and_the_method():
    grid = {"near__n_neighbors": [1, 15], "settings__steps": [5, 300], "bayes": [GaussianNB()]}
    found = GridSearchCV(FusionClassifier(PAIR, folds=2), grid, cv=2).fit(X, NAMES)
    assert set(found.best_params_) == set(grid)
    assert found.best_estimator_.estimators_[0].n_neighbors == found.best_params_["near__n_neighbors"]
    with pytest.raises(UserError, match="strength"):
        FusionClassifier(PAIR).set_params(settings__strength=1).fit(X, Y)


def words(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kind = np.arange(rows) % 2
    text = [f"{'cheap offer' if each else 'kind regards'} {rng.integers(9)}" for each in kind]
    return pd.DataFrame({"text": text, "size": rng.normal(size=rows) + kind, "kind": kind})


def test_frames_with_texts_and_lists_of_texts_go_to_members_that_read_them():
    frame = words(40)
    reads = make_pipeline(ColumnTransformer([("t", TfidfVectorizer(), "text")]), LogisticRegression())
    sizes = make_pipeline(ColumnTransformer([("n", "passthrough", ["size"])]), LogisticRegression())
    made = FusionClassifier([("text", reads), ("size", sizes)], folds=2).fit(frame[["text", "size"]], frame["kind"])
    assert made.score(frame[["text", "size"]], frame["kind"]) == 1
    assert list(made.feature_names_in_) == ["text", "size"]
    with pytest.raises(ValueError, match="feature names should match"):
        made.predict(frame[["size", "text"]])
    alone = make_pipeline(TfidfVectorizer(), LogisticRegression())
    for texts in (frame["text"], frame["text"].tolist(), frame["text"].to_numpy()):
        assert FusionClassifier([("t", alone), ("u", alone)], folds=2).fit(texts, frame["kind"]).score(
            texts, frame["kind"]
        ) == 1  # fmt: skip


def test_texts_without_a_member_that_reads_them_are_told():
    with pytest.raises(UserError, match="(?s)need members that read them.*TfidfVectorizer"):
        FusionClassifier().fit(words(10)[["text"]], [0, 1] * 5)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FusionClassifier(PAIR).fit(["a", "b", "c"], [0, 1])
