"""Fusion as scikit-learn knows estimators: without it columns beside images, and models already fitted, stayed outside.

    FusionClassifier([("forest", RandomForestClassifier()), ("line", LogisticRegression())]).fit(X, y)

Members answer with probabilities; a method of `outputs/` fuses them. What the method learns it learns from answers out
of fold, so that no member is believed for what it has memorised. Searches reach inside: `forest__max_depth` is a
member's parameter, `settings__NAME` one of the method's, and a member is exchanged by its name.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, clone
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from transfuse import partial
from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.fusion.contract import About
from transfuse.registry import method as find_method
from transfuse.seeds import integer

MOST_FOLDS = 20
# Before the name of a method's setting, as scikit-learn names what is inside.
WITHIN = "settings__"


class FusionClassifier(ClassifierMixin, _BaseComposition):
    """Several classifiers, fused by their probabilities.

    `estimators`: a list of `(name, estimator)`, each with `predict_proba`; by default a logistic regression and a tree.
    `method`: a method of `outputs/`; `settings` are its own. `folds`: how many parts answers out of fold are made in;
    a class with fewer rows lowers it to 2 at least. `prefit`: the estimators are fitted already and are taken as they
    are; the rows given to `fit` must be others than they have seen. `seed` decides the folds, and stands for the
    `random_state` of members that have none.

    A frame with columns that are no numbers, and a list of texts, go to the members as they are, by name:
    `make_pipeline(ColumnTransformer(...), LogisticRegression())` says what a member makes of them.

    After `fit`: `classes_`, `estimators_` (fitted, in order), `state_` (what the method learned),
    `out_of_fold_ [K, N, C]`, the answers it learned from (None where nothing is learned). Raises UserError for unknown
    methods and settings and for members without probabilities.
    """

    def __init__(
        self,
        estimators: Sequence[tuple[str, Any]] | None = None,
        *,
        method: str = "outputs/convex",
        settings: dict[str, Any] | None = None,
        folds: int = 5,
        prefit: bool = False,
        seed: int = 0,
    ) -> None:
        self.estimators = estimators
        self.method = method
        self.settings = settings
        self.folds = folds
        self.prefit = prefit
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's words; with `deep` also the members by name, their parameters, and the method's settings as
        `settings__NAME`, with its defaults."""
        found = self._get_params("estimators", deep=deep)
        if deep and isinstance(self.settings, dict | None):
            settings = self.settings or {}
            with contextlib.suppress(UserError):
                settings = find_method(str(self.method)).settings(settings)
            found |= {f"{WITHIN}{name}": value for name, value in settings.items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Sets any of `get_params(deep=True)`; settings that the method does not have are told by `fit`."""
        inner = {name.removeprefix(WITHIN): params.pop(name) for name in [*params] if name.startswith(WITHIN)}
        self._set_params("estimators", **params)
        if inner:
            self.settings = {**(self.settings or {}), **inner}
        return self

    def fit(self, X: Any, y: Any) -> Self:
        """`X [N, D]`, or a frame or texts; `y [N]` -> fitted members and what fuses them."""
        X, y = self._read(X, y)
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs two classes, and there is one class: {self.classes_[0]!r}")
        entry = self._entry()
        members = self._members()
        known = np.stack([self._known(member, name) for name, member in members])
        about = About(known, np.ones(len(members)))
        self.openings_: dict[int, np.ndarray] = {}
        learns = not entry.traits.get("pooling")
        self.out_of_fold_ = None
        if self.prefit:
            self.estimators_ = [member for _, member in members]
            apart = self._opened_apart(X, targets, known)
            self.out_of_fold_ = apart if learns else None
        else:
            self.out_of_fold_ = self._crossed(members, X, y, targets) if learns else None
            self.estimators_ = [self._fresh(member, name).fit(X, y) for name, member in members]
        given = np.full((len(members), len(targets), len(self.classes_)), 1 / len(self.classes_))
        apart = given if self.out_of_fold_ is None else self.out_of_fold_
        self.state_ = outputs_lift.fit(entry, apart, targets, self.settings or {}, about)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """`X` as in `fit` -> fused probabilities [N, C], columns as `classes_`."""
        check_is_fitted(self)
        X, _ = self._read(X)
        return outputs_lift.apply(self._entry(), self.state_, self._answers(X))

    def predict(self, X: Any) -> np.ndarray:
        """`X` as in `fit` -> the likeliest class of each row [N]."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def _read(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        """Rows as members get them, and labels when fitting: numbers are checked, what is more stays as it is."""
        fits = y is not None
        if not _worded(X):
            checked: Any = validate_data(self, X, y, ensure_min_samples=2) if fits else None
            return checked if fits else (validate_data(self, X, reset=False), y)
        if self.estimators is None:
            raise UserError(
                "rows with texts or categories need members that read them", where="FusionClassifier, estimators",
                hint="('words', make_pipeline(TfidfVectorizer(), LogisticRegression())), or a ColumnTransformer first",
            )  # fmt: skip
        X = X if hasattr(X, "iloc") else np.asarray(X, dtype=object)
        if X.ndim == 2:
            validate_data(self, X, skip_check_array=True, reset=fits)
        if fits:
            y = column_or_1d(y, warn=True)
            check_consistent_length(X, y)
        return X, y

    def _entry(self) -> Any:
        entry = find_method(self.method, where="FusionClassifier, method")
        if entry.shelf != "fusion/outputs":
            raise UserError(
                f"{self.method} fuses no predictions", where="FusionClassifier", hint="a method of outputs/"
            )
        entry.settings(self.settings or {}, where="FusionClassifier, settings")
        return entry

    def _members(self) -> list[tuple[str, Any]]:
        if self.estimators is None:
            if self.prefit:
                raise UserError("fitted estimators must be given", where="FusionClassifier, prefit=True")
            with _unmoved():
                from sklearn.linear_model import LogisticRegression
                from sklearn.tree import DecisionTreeClassifier
            return [("line", LogisticRegression(max_iter=1000)), ("tree", DecisionTreeClassifier(max_depth=8))]
        members = [(str(name), member) for name, member in self.estimators]
        lacking = [name for name, member in members if not hasattr(member, "predict_proba")]
        if lacking or not members:
            raise UserError(
                "members answer with probabilities",
                where="FusionClassifier, estimators",
                expected="estimators with predict_proba",
                got=", ".join(lacking) or "no estimator",
                hint="sklearn.calibration.CalibratedClassifierCV gives them to those without",
            )
        return members

    def _known(self, member: Any, name: str) -> np.ndarray:
        """Which of the classes a fitted member knows [C]; one that is fitted here knows all."""
        if not self.prefit:
            return np.ones(len(self.classes_), dtype=bool)
        check_is_fitted(member)
        found = np.isin(self.classes_, member.classes_)
        if not found.any():
            raise UserError(
                "a fitted member knows none of the classes", where=f"FusionClassifier, '{name}'",
                expected=str(list(self.classes_[:5])), got=str(list(member.classes_[:5])),
            )  # fmt: skip
        return found

    def _fresh(self, member: Any, name: str) -> Any:
        made: Any = clone(member)
        if made.get_params().get("random_state", 0) is None:
            made.set_params(random_state=integer("sklearn", name, self.seed) % 2**31)
        return made

    def _crossed(self, members: list[tuple[str, Any]], X: Any, y: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Answers [K, N, C] for rows that the member which gives them was not fitted to."""
        parts = max(2, min(int(self.folds), MOST_FOLDS))
        found = np.empty((len(members), len(targets), len(self.classes_)))
        for fit, held in _folds(targets, parts, self.seed):
            for index, (name, member) in enumerate(members):
                fitted = self._fresh(member, name).fit(_rows(X, fit), y[fit])
                found[index, held] = _spread(fitted, _rows(X, held), self.classes_)
        return found

    def _opened_apart(self, X: Any, targets: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The answers [K, N, C] of fitted members; one that lacks classes learns, apart, when a row is none of its."""
        fold = np.empty(len(targets), dtype=int)
        for number, (_, held) in enumerate(_folds(targets, min(MOST_FOLDS, max(2, self.folds)), self.seed)):
            fold[held] = number
        found = self._answers(X)
        for index in np.flatnonzero(~known.all(axis=1)).tolist():
            q, evidence, own = self._evidence(index, X)
            found[index], self.openings_[index] = partial.crossfitted(q, evidence, own, targets, fold)
        return found

    def _evidence(self, index: int, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a member says among the classes it knows, how sure it is of any of them, and which they are."""
        member = self.estimators_[index]
        places = {label: place for place, label in enumerate(self.classes_.tolist())}
        columns = [places.get(label, -1) for label in np.asarray(member.classes_).tolist()]
        q, evidence = partial.grouped(member.predict_proba(X), columns, len(self.classes_), "probability")
        return q, evidence, np.isin(self.classes_, member.classes_)

    def _answers(self, X: Any) -> np.ndarray:
        found = np.stack([_spread(member, X, self.classes_) for member in self.estimators_])
        for index, opening in self.openings_.items():
            found[index] = partial.opened(*self._evidence(index, X), opening)
        return found


def _worded(X: Any) -> bool:
    """Whether rows are a frame with columns that are no numbers, or texts: what a check of numbers would refuse."""
    if hasattr(X, "iloc"):
        types = X.dtypes if X.ndim == 2 else [X.dtype]
        return any(getattr(each, "kind", "O") not in "biuf" for each in types)
    single = isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.ndim == 1)
    return single and len(X) > 0 and all(isinstance(each, str) for each in X)


def _rows(X: Any, rows: np.ndarray) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


@contextlib.contextmanager
def _unmoved() -> Iterator[None]:
    """Parts of scikit-learn draw from Python's own stream when they are imported; inside, that leaves no trace."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _folds(targets: np.ndarray, parts: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Parts with the classes' shares in each; every rest keeps at least two classes, else all rows stand in for it."""
    draw = integer("sklearn", "folds", seed) % 2**31
    if np.bincount(targets).min() < 2:
        # Stratifying refuses classes of one row; rows in turn, ordered by class, spread them as well as can be.
        order = np.argsort(targets, kind="stable")
        fold = np.empty(len(targets), dtype=int)
        fold[order] = np.arange(len(targets)) % parts
        pairs = [(np.flatnonzero(fold != part), np.flatnonzero(fold == part)) for part in range(parts)]
    else:
        with _unmoved():
            from sklearn.model_selection import StratifiedKFold
        cut = StratifiedKFold(min(parts, int(np.bincount(targets).min())), shuffle=True, random_state=draw)
        pairs = list(cut.split(np.zeros(len(targets)), targets))
    every = np.arange(len(targets))
    return [(fit if len(np.unique(targets[fit])) > 1 else every, held) for fit, held in pairs]


def _spread(member: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    """A member's probabilities [N, C] in the order of `classes`; of those it lacks it says 0."""
    given = np.asarray(member.predict_proba(X), dtype=np.float64)
    found = np.zeros((len(given), len(classes)))
    own = np.searchsorted(classes, member.classes_[np.isin(member.classes_, classes)])
    found[:, own] = given[:, np.isin(member.classes_, classes)]
    total = found.sum(axis=1, keepdims=True)
    return np.where(total > 0, found / np.where(total > 0, total, 1), 1 / len(classes))
