"""Was each transferability score right here? Without its record a score would be believed for its formula."""

from __future__ import annotations

import numpy as np

from transfuse import registry
from transfuse.evaluation.agreement import REGRET, TAU, lacking, regret, tau
from transfuse.evaluation.apart import at_most
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import classifies, joined, told
from transfuse.evaluation.material import SHELF, Material, value
from transfuse.evaluation.material import lacking as lacks
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Subject, evidence
from transfuse.evaluation.statistics.bootstrap import RESAMPLES, by_unit, counted, picks
from transfuse.types import Evidence, Undefined, Value

ORDER = 66
CITATION = "Vigna, WWW 2015 (weighted tau); You et al., ICML 2021 (as a record of scores)"
FROZEN, MOST_ROWS = "frozen/", 2048
SCORES = "all scores"
# Of the scores that are not asked by default, those that cost nothing once the sources' own answers are there.
OF_ANSWERS = ("nce",)


def ask(case: Case) -> list[Evidence]:
    """What each usual score said of the sources, on rows apart, against the judged log-loss of heads on the same frozen
    sources: weighted Kendall τ, and the regret of its first choice, with intervals over judged items (or groups); what
    the scores said is held fixed. LEEP and NCE are among them where the sources' own heads were asked on these rows.
    Undefined for fewer than three sources.
    """
    if case.features is None or len(case.features.blocks) < 2 or not classifies(case):
        return []
    names = [name for name in sorted(case.features.blocks) if f"{FROZEN}{name}" in case.tables]
    if reason := lacking(dict.fromkeys(names, 0.0), names):
        subject = Subject(SCORES, None, case.split)
        return [evidence(each, subject, Measured.not_there(reason)) for each in (TAU, REGRET)]
    losses, sums = _judged(case, names)
    rows = []
    for score, said in _said(case, names).items():
        subject, about = Subject(score, None, case.split), {"sources": names, "said": _plain(said)}
        if reason := lacking(said, names):
            rows += [evidence(each, subject, Measured.not_there(reason), about) for each in (TAU, REGRET)]
            continue
        values = np.array([float(said[name]) for name in names])  # pyright: ignore[reportArgumentType]
        about["judged"] = dict(zip(names, losses.mean(axis=0).tolist(), strict=True))
        for quantity, law in ((TAU, tau), (REGRET, regret)):
            point = float(law(values, -losses.mean(axis=0)))
            drawn = law(values, -sums)
            if not (np.isfinite(point) and np.isfinite(drawn).all()):
                found = Measured.not_there("all sources have the same value", len(losses))
            else:
                low, high = np.quantile(drawn, [0.025, 0.975])
                method = "bootstrap over judged items, percentiles; what the score said is held fixed"
                found = Measured(point, len(losses), min(float(low), point), max(float(high), point), method=method)
            rows.append(evidence(quantity, subject, found, about))
    return rows


def silent(case: Case) -> dict[str, str]:
    """Scores are made for classes, and some of them for the sources' own answers."""
    if case.features is None or len(case.features.blocks) < 2:
        return {}
    why = "the scores on the shelf are defined for classes that exclude each other"
    found = told(case, "the transferability scores' own record", labels=why, numbers=why)
    unasked = sorted(set(case.features.blocks) - set(case.features.answers))
    if classifies(case) and unasked:
        found["LEEP and NCE in the scores' own record"] = f"no answers of their own heads: {', '.join(unasked)}"
    return found


def _judged(case: Case, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Log-loss of each judged item, mean over runs, [N, K]; and the means on resamples of items, [R, K]."""
    both = joined([case.tables[f"{FROZEN}{name}"] for name in names])
    metric, targets = find_metric("log_loss"), both.targets
    losses = np.stack([metric.run_columns(targets, probs)[..., 0].mean(axis=0) for probs in both.probs], axis=1)
    order = np.argsort(np.asarray(both.items.ids))
    groups = None if both.items.groups is None else np.asarray(both.items.groups)[order]
    units = by_unit(np.column_stack([losses[order], np.ones(len(losses))]), groups)
    parts = [counted(rows, len(units)) @ units for rows in picks(len(units), RESAMPLES // 2)]
    drawn = np.concatenate(parts)
    return losses, drawn[:, :-1] / drawn[:, -1:]


def _said(case: Case, names: list[str]) -> dict[str, dict[str, Value]]:
    """Each usual score of each source, and those of the sources' own answers, on rows apart; scores that need what a
    run does not keep are left out."""
    assert case.features is not None  # noqa: S101 - asked before
    features = at_most(case.features, MOST_ROWS, "scores")
    classes = max(len(case.task.classes), int(features.items.targets.max()) + 1)
    arms = {arm.name: arm for arm in case.arms}
    found: dict[str, dict[str, Value]] = {}
    for name in names:
        cost = arms[f"{FROZEN}{name}"].cost
        material = Material(
            features=np.asarray(features.blocks[name]),
            targets=np.asarray(features.items.targets),
            classes=classes,
            folds=features.folds,
            answers=features.answers.get(name),
            ids=features.items.ids,
            parameters=None if cost is None else cost.parameters,
        )
        for entry in registry.shelf(SHELF).values():
            asked = entry.traits["default"] or entry.name in OF_ANSWERS
            if asked and lacks(entry, material) is None:
                found.setdefault(entry.name, {})[name] = value(entry.name, material)
    return found


def _plain(said: dict[str, Value]) -> dict[str, float | str]:
    return {name: each.reason if isinstance(each, Undefined) else float(each) for name, each in said.items()}
