"""Predictions over different classes, brought to the union of them; without it only equal label sets could be compared.

Columns are matched by name, or by a mapping {own: target}. Who lacks some of the classes is made an answer over all of
them, as `transfuse.partial` says: how likely an item is of its own classes is learned on the other folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfuse import partial
from transfuse.errors import UserError, unknown_name
from transfuse.evaluation import temperature
from transfuse.evaluation.elsewhere.files import Scores
from transfuse.evaluation.tables import listed
from transfuse.files.mappings import read_mapping
from transfuse.labels import Alignment, Mapped, align
from transfuse.types import Scale

FOLDS = 5


def mappings(given: Any, names: Sequence[str]) -> dict[str, Mapped]:
    """`{own: target}` for each name: one mapping or file for all, or {name: mapping or file}.

    Raises `UserError` for what is no mapping, and for names that nobody has.
    """
    if given is None:
        return {}
    if isinstance(given, str | Path):
        return dict.fromkeys(names, read_mapping(Path(given)))
    if not isinstance(given, Mapping):
        raise UserError(
            "`classes` maps own classes to the labels' classes", expected="{own: target}, or a CSV own,target"
        )
    if not any(isinstance(value, Mapping | Path) for value in given.values()):
        return dict.fromkeys(
            names, {str(own): None if target is None else str(target) for own, target in given.items()}
        )
    for name in given:
        if name not in names:
            raise unknown_name("predictions", str(name), names, where="classes")
    return {name: mappings(value, [name])[name] for name, value in given.items()}


def union(scores: Sequence[Scores], labels: Sequence[str], mapped: Mapping[str, Mapped]) -> tuple[str, ...]:
    """All classes that named predictions know, in the order in which they are first named.

    A class that no label names must be known to two, so that a name that is spelled in two ways is not taken for two
    classes. Raises `UserError` for such a name with the nearest others.
    """
    named = {each.name: _targets(each, mapped.get(each.name)) for each in scores if each.classes is not None}
    every = tuple(dict.fromkeys(name for names in named.values() for name in names))
    known, owners = set(labels), Counter(name for names in named.values() for name in names)
    for owner, names in named.items():
        alone = [name for name in names if len(named) > 1 and owners[name] == 1 and name not in known]
        if alone:
            # Names that nobody else knows are no way out of one another.
            rest = {name for name in {*every, *known} if owners[name] > 1 or name in known}
            where = f"predictions '{owner}'; no label names it either"
            if len(alone) == 1:
                raise unknown_name("class column", alone[0], rest, where=where)
            raise UserError(
                f"unknown class columns {listed(alone)}", where=where, expected=f"some of {listed(sorted(rest))}",
                hint=f"rename them, or map them: FILE?classes=MAP.csv with the columns own,target ({alone[0]},CLASS)",
            )  # fmt: skip
    return every


def _targets(each: Scores, given: Mapped | None) -> list[str]:
    said = dict(given or {})
    if strange := [name for name in said if name not in (each.classes or ())]:
        raise unknown_name(
            "class column", strange[0], each.classes or (), where=f"classes of predictions '{each.name}'"
        )
    wanted = [said.get(name, name) for name in each.classes or ()]
    return list(dict.fromkeys(name for name in wanted if name is not None))


def aligned(each: Scores, classes: Sequence[str], mapped: Mapping[str, Mapped]) -> Alignment | None:
    """Where these predictions' columns go; None where they are all there is, each by its own name."""
    if each.classes is None or len(classes) < 2:
        return None
    found = align(each.classes, classes, mapped.get(each.name), where=f"predictions '{each.name}'")
    return None if found.whole and not found.left and each.name not in mapped else found


def completed(
    scores: np.ndarray, found: Alignment, targets: np.ndarray, scale: Scale, keys: Sequence[str]
) -> np.ndarray:
    """One run's scores [N, own] as probabilities of all classes [N, C]; what is learned never saw the own fold."""
    known = np.array(found.known)
    answers = partial.grouped(scores, found.columns, len(known), scale)
    if known.all():
        return answers[0]
    return partial.crossfitted(*answers, known, targets, temperature.folds_of(list(keys), FOLDS))[0]


def told(found: Alignment | None) -> tuple[str, ...]:
    """What must be said of predictions that know some of the classes only."""
    if found is None or found.whole:
        return ()
    names = ", ".join(found.unknown[:5]) + (f" and {len(found.unknown) - 5} more" if len(found.unknown) > 5 else "")
    return (
        f"it knows {sum(found.known)} of {len(found.target)} classes (not {names}); how likely an item is of these was"
        " learned on the other folds, and what is left is spread evenly",
    )
