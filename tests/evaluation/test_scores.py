from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.stats import entropy, spearmanr
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

from transfuse import registry
from transfuse.errors import UserError
from transfuse.evaluation.material import SHELF, Material, together, value
from transfuse.evaluation.probes.mixture import fitted, joint, maximised
from transfuse.evaluation.probes.moments import moments, narrowed, principal, turned
from transfuse.evaluation.scores.gbc import overlap
from transfuse.evaluation.scores.h_score_regularised import shrinkage
from transfuse.types import Undefined

ENTRIES = list(registry.shelf(SHELF).values())


@functools.cache
def digits() -> Material:
    """The 1,797 digits as 64 pixels, with pixel shares as a made-up source's answers."""
    pixels, targets = load_digits(return_X_y=True)
    answers = (pixels + 1.0) / (pixels + 1.0).sum(axis=1, keepdims=True)
    return Material(pixels, targets, 10, folds=np.arange(len(targets)) % 5, answers=answers)


def blobs(rows: int = 120, width: int = 6, skill: float = 3.0, classes: int = 3, seed: int = 0) -> Material:
    """Gaussian classes; with more skill they lie further apart, and the source's answers are surer."""
    rng = np.random.default_rng([seed, rows, width])
    targets = np.arange(rows) % classes
    features = rng.normal(size=(rows, width))
    features[:, :classes] += skill * np.eye(classes)[targets]
    logits = skill * np.eye(classes + 1)[targets] + rng.normal(size=(rows, classes + 1))
    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ids = tuple(f"i{row}" for row in range(rows))
    facts = {"parameters": 1000 + int(100 * skill), "stated_accuracy": 50.0 + skill}
    return Material(features, targets, classes, (np.arange(rows) // classes) % 5, answers, ids, **facts)


def reordered(one: Material, order: np.ndarray) -> Material:
    """The same rows in another order."""
    fields = vars(one) | {"ids": tuple(one.ids[row] for row in order)}
    fields |= {name: getattr(one, name)[order] for name in ("features", "targets", "folds", "answers")}
    return Material(**{name: fields[name] for name in Material.__dataclass_fields__})


# -- golden values on scikit-learn's digits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("logme", {}, 0.27027763),
        ("logme", {"compat": "thuml"}, 0.27027746),
        ("logme", {"compat": "icml"}, 0.27021572),
        ("logme", {"compat": "tllib"}, 0.27027760),
        ("leep", {}, -2.13734530),
        ("h_score", {}, 5.91790934),
        ("h_score_regularised", {}, 5.85143300),
        ("transrate", {}, 50.28643051),
        ("transrate_equal", {}, 50.27931226),
        ("gbc", {"width": 16}, -3.29973710),
        ("gbc", {"width": 16, "covariance": "spherical"}, -3.18958304),
    ],
)
def test_golden_values_on_digits(name: str, given: dict, expected: float) -> None:
    assert value(name, digits(), given) == pytest.approx(expected, abs=6e-9)


def test_golden_values_of_hard_answers() -> None:
    known = digits()
    hard = Material(known.features, known.targets, 10, answers=np.eye(64)[known.features.argmax(axis=1)])
    nce = value("nce", hard)
    assert nce == pytest.approx(-1.76409815, abs=6e-9)
    assert value("leep", hard) == pytest.approx(nce, abs=1e-13)


def test_parc_on_digits_shares_ranks_where_the_published_code_lets_rounding_decide() -> None:
    known = digits()
    first = Material(known.features[:500], known.targets[:500], 10)
    spread = first.features.std(axis=0)
    standard = (first.features - first.features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    pairs = np.triu_indices(500, 1)
    noisy = 1 - np.corrcoef(np.eye(10)[first.targets])[pairs]
    apart = 1 - np.corrcoef(standard)[pairs]
    exact = spearmanr(apart, np.round(noisy, 9)).statistic
    assert value("parc", first) == pytest.approx(100 * exact, abs=1e-8) == pytest.approx(41.49833, abs=5e-6)
    # 41.66 is what noise in equal distances makes of it.
    assert 100 * spearmanr(apart, noisy).statistic == pytest.approx(41.66, abs=0.02)


# -- closed forms ------------------------------------------------------------------------------------------------------


def test_uniform_answers_tell_nothing() -> None:
    known = digits()
    flat = Material(known.features, known.targets, 10, answers=np.full((1797, 7), 1 / 7))
    expected = -entropy(np.bincount(known.targets))
    assert expected == pytest.approx(-2.30247922, abs=6e-9)
    for name in ("leep", "nce", "e_leep"):
        assert value(name, flat) == pytest.approx(expected, abs=1e-12)


def test_answers_that_name_the_class_tell_all_and_independent_ones_nothing() -> None:
    targets = np.repeat(np.arange(4), 25)
    features = np.random.default_rng(0).normal(size=(100, 3))
    exact = Material(features, targets, 4, answers=np.eye(9)[targets + 3])
    assert value("nce", exact) == 0.0 == value("leep", exact)
    apart = Material(features, targets, 4, answers=np.eye(5)[np.tile(np.arange(5), 20)])
    assert value("nce", apart) == pytest.approx(-np.log(4), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_one_hot_features(classes: int) -> None:
    """H-score is C − 1 exactly although the covariance lacks rank; PARC is 100; LogME has no bound."""
    targets = np.repeat(np.arange(classes), 20)
    hot = Material(np.eye(classes)[targets], targets, classes)
    assert value("h_score", hot) == pytest.approx(classes - 1, abs=1e-9)
    assert value("parc", hot) == pytest.approx(100.0, abs=1e-9)
    found = value("logme", hot)
    assert isinstance(found, Undefined) and "exactly" in found.reason


def test_one_class_has_no_rate_and_no_other_score() -> None:
    lone = Material(np.random.default_rng(0).normal(size=(30, 4)), np.zeros(30, dtype=int), 1)
    assert value("transrate", lone) == pytest.approx(0.0, abs=1e-9) == value("transrate_equal", lone)
    assert value("logme", lone) == Undefined("the rows are all of one class")


def test_overlap_of_gaussians() -> None:
    """All alike: every ordered pair counts 1. Far apart: none. In between: by the formula."""
    assert overlap(np.zeros((4, 3)), np.ones((4, 3))) == pytest.approx(12.0)
    assert overlap(np.eye(3) * 1e4, np.ones((3, 3))) == pytest.approx(0.0)
    between = (2.0 + 0.5) / 2
    expected = 2 * np.exp(-1.0 / between / 8 - 0.5 * np.log(between / np.sqrt(2.0 * 0.5)))
    assert overlap(np.array([[0.0], [1.0]]), np.array([[2.0], [0.5]])) == pytest.approx(expected)


# -- independent oracles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "width"), [(60, 5), (30, 50)])
def test_h_scores_against_scikit_learn_and_the_pseudo_inverse(rows: int, width: int) -> None:
    one = blobs(rows, width)
    centred = one.features - one.features.mean(axis=0)
    means = np.stack([centred[one.targets == each].mean(axis=0) for each in one.targets])
    plain = np.trace(np.linalg.pinv(centred.T @ centred / rows, rcond=1e-10) @ (means.T @ means / rows))
    assert value("h_score", one) == pytest.approx(plain, abs=1e-8)
    covariance, share = ledoit_wolf(one.features)
    assert shrinkage(one.moments) == pytest.approx(share, abs=1e-12)
    expected = (1 - share) * np.trace(np.linalg.inv(covariance) @ np.cov(means, rowvar=False))
    assert value("h_score_regularised", one) == pytest.approx(expected, abs=1e-9)


def test_knn_against_scikit_learn() -> None:
    one = blobs(90, 4, skill=1.0)
    right = []
    for fold in range(5):
        held = one.folds == fold
        oracle = KNeighborsClassifier(5, algorithm="brute").fit(one.features[~held], one.targets[~held])
        right += list(oracle.predict(one.features[held]) == one.targets[held])
    assert value("knn", one) == pytest.approx(np.mean(right))


def test_mixture_takes_the_same_step_as_scikit_learn_and_never_goes_down() -> None:
    block = blobs(150, 3, skill=2.0).features
    found = fitted(block, 3, 0)
    assert (np.diff(found.course) > -1e-9).all()
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1.0)
    added = 1e-3 * block.var(axis=0).mean()
    weights, means, factors = maximised(block, found.posterior, added)
    precisions = np.stack([np.linalg.inv(factor @ factor.T) for factor in factors])
    theirs = GaussianMixture(3, weights_init=weights, means_init=means, precisions_init=precisions, reg_covar=added)
    with pytest.warns(match="did not converge"):
        theirs.set_params(max_iter=1, init_params="random", random_state=0).fit(block)
    again = maximised(block, np.exp(_normalised(joint(block, weights, means, factors))), added)
    np.testing.assert_allclose(again[1], theirs.means_, atol=1e-6)
    np.testing.assert_allclose(again[2] @ again[2].transpose(0, 2, 1), theirs.covariances_, atol=1e-6)


def _normalised(logs: np.ndarray) -> np.ndarray:
    return logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))


def test_e_leep_averages_before_the_logarithm() -> None:
    first, second = blobs(seed=1), blobs(seed=2, skill=1.0)
    both = together("e_leep", [first, second])
    alone = [value("leep", each) for each in (first, second)]
    assert isinstance(both, float) and all(isinstance(each, float) for each in alone)
    assert both > float(np.mean(alone)) and value("e_leep", first) == alone[0]


# -- the contract of the shelf -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_score_prefers_the_better_source_whatever_the_order_of_rows(entry: registry.Entry) -> None:
    """Higher is better; the same for rows in another order; inputs stay as they are; the file says where it is from."""
    weak, strong = blobs(skill=0.5), blobs(skill=4.0)
    before = strong.features.copy()
    low, high = value(entry.name, weak), value(entry.name, strong)
    assert isinstance(low, float) and isinstance(high, float) and high > low
    again = value(entry.name, reordered(strong, np.random.default_rng(1).permutation(120)))
    assert entry.name == "n_leep" or again == pytest.approx(high, abs=1e-9)
    assert (strong.features == before).all()
    assert entry.citation and entry.law.endswith(".") and {"default", "unit"} <= set(entry.traits)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_score_bears_hard_material(entry: registry.Entry) -> None:
    """Wider than long, a class without rows, constant features: a finite number, or undefined and why."""
    rng = np.random.default_rng(0)
    targets = np.array([0, 1, 3] * 7)
    answers = np.eye(3)[targets % 3]
    for features in (rng.normal(size=(21, 60)), np.ones((21, 4)), np.repeat(rng.normal(size=(7, 5)), 3, axis=0)):
        one = Material(features, targets, 5, np.arange(21) % 5, answers, parameters=9, stated_accuracy=1.0)
        found = value(entry.name, one)
        assert found.reason if isinstance(found, Undefined) else np.isfinite(found)
    bare = value(entry.name, Material(rng.normal(size=(21, 4)), targets, 5))
    assert isinstance(bare, Undefined) == bool(entry.needs)


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.parameters], ids=lambda entry: entry.name)
def test_every_setting_refuses_nonsense(entry: registry.Entry) -> None:
    for parameter in entry.parameters.values():
        with pytest.raises(UserError, match=parameter.name):
            value(entry.name, blobs(), {parameter.name: parameter.invalid()})


def test_material_refuses_what_no_score_could_use() -> None:
    features, targets = np.zeros((4, 2)), np.array([0, 1, 0, 1])
    for broken in (
        {"features": np.full((4, 2), np.nan)},
        {"features": np.zeros((3, 2))},
        {"targets": np.array([0, 1, 2, 0])},
        {"answers": np.ones((4, 2))},
    ):
        with pytest.raises(UserError):
            Material(**{"features": features, "targets": targets, "classes": 2, **broken})


# -- what they share ---------------------------------------------------------------------------------------------------


def test_moments_of_a_part_and_of_a_turned_block() -> None:
    one = blobs(20, 30)
    found = moments(one.features, one.targets, 3)
    part = found.part([slice(3, 8), slice(20, 21)])
    alone = moments(one.features[:, [3, 4, 5, 6, 7, 20]], one.targets, 3)
    for name in ("mean", "gram", "sums", "width"):
        np.testing.assert_allclose(getattr(part, name), getattr(alone, name), atol=1e-12)
    square = turned(one.features)
    assert square.shape == (20, 20)
    np.testing.assert_allclose(square @ square.T, one.features @ one.features.T, atol=1e-10)
    assert value("logme", one) == pytest.approx(value("logme", Material(square, one.targets, 3)), abs=1e-10)


def test_narrowing_is_exact_where_it_can_be_and_says_where_not() -> None:
    rng = np.random.default_rng(0)
    wide, thin = rng.normal(size=(30, 100)), rng.normal(size=(30, 4))
    kept, exact = narrowed([wide, thin], 40)
    assert exact and [block.shape[1] for block in kept] == [30, 4]
    kept, exact = narrowed([wide, wide, thin], 24)
    assert not exact and [block.shape[1] for block in kept] == [10, 10, 4]
    values = np.linalg.svd(wide - wide.mean(axis=0), compute_uv=False)[:10]
    centred = principal(wide, 10) - principal(wide, 10).mean(axis=0)
    np.testing.assert_allclose(np.sqrt(np.diag(centred.T @ centred)), values, atol=1e-8)
