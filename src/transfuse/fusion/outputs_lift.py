"""The lift of the outputs family: what every pooling of predictions needs done around it.

Members' scores become probabilities, rows are joined and checked, what is fitted is fitted on rows apart, members that
a method does not ask for are not run, and what comes back is held to the simplex. A member that knows only some of the
classes is heard about these alone: of the others it says what those say that know them (`transfuse.partial.shared`). A
method that stops early asks members one by one, so there each answers by itself, with what it leaves spread evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from transfuse import partial
from transfuse.errors import UserError
from transfuse.fusion.contract import About
from transfuse.registry import Entry
from transfuse.seeds import uniform

SIMPLEX_TOLERANCE, ROW_SUM_TOLERANCE = 1e-6, 1e-3
FOLDS = 5
# Kept in a state beside what the method fitted, where some member knows only some of the classes. [K, C].
KNOWN = "lift.known"
State = dict[str, np.ndarray]
# The answers [n, C] of one member for some rows, as probabilities.
Ask = Callable[[int, np.ndarray], np.ndarray]


def probabilities(scores: np.ndarray, scale: str) -> np.ndarray:
    """Scores [..., N, C] as float64 probabilities; logits by a stable softmax, probabilities with rounding put right.

    Raises UserError for NaN, infinity, another scale, and for rows that are no probabilities: none may be negative, and
    each must sum to one within 0.001.
    """
    if scale not in ("logit", "probability"):
        raise UserError("these scores cannot be pooled", expected="logits or probabilities", got=f"scale '{scale}'")
    wide = scores.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UserError("a member's scores hold NaN or infinity", got=f"{int((~np.isfinite(wide)).sum())} such entries")
    if scale == "logit":
        wide -= wide.max(axis=-1, keepdims=True)
        np.exp(wide, out=wide)
    total = wide.sum(axis=-1, keepdims=True)
    if scale == "probability" and ((wide < 0).any() or (np.abs(total - 1) > ROW_SUM_TOLERANCE).any()):
        off = int(((wide < 0).any(axis=-1) | (np.abs(total[..., 0] - 1) > ROW_SUM_TOLERANCE)).sum())
        raise UserError(
            "a member's scores are no probabilities",
            expected="rows of numbers ≥ 0 with a sum of 1",
            got=f"{off} other rows",
            hint="if these are scores before the softmax, their scale is logit",
        )
    wide /= total
    return wide


def joined(wanted: np.ndarray, rows: np.ndarray, scores: np.ndarray, member: str) -> np.ndarray:
    """A member's scores [n, C] for the wanted rows, whatever order it has them in.

    Raises UserError where a row stands twice, or a wanted one is missing; rows that nobody wants are left out.
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    if (ordered[1:] == ordered[:-1]).any():
        twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        raise UserError("a row stands twice among a member's scores", where=member, got=_listed(twice))
    place = np.minimum(np.searchsorted(ordered, wanted), max(0, len(ordered) - 1))
    missing = np.ones(len(wanted), dtype=bool) if not len(ordered) else ordered[place] != wanted
    if missing.any():
        raise UserError("a member has no scores for some rows", where=member, got=_listed(wanted[missing]))
    return scores[order[place]]


def _listed(rows: np.ndarray, limit: int = 5) -> str:
    shown = ", ".join(str(int(row)) for row in rows[:limit])
    return f"rows {shown}" + (f" and {len(rows) - limit} more" if len(rows) > limit else "")


def fit(
    entry: Entry, members: np.ndarray, targets: np.ndarray, settings: Mapping[str, Any], about: About | None = None
) -> State:
    """Fit the method on rows apart: `members [K, N, C]` probabilities, `targets [N]`.

    `about` reaches a method that declares that it needs it; without it all members know everything at the same cost.
    Raises UserError for settings that the method refuses, and where there is no row to fit on.
    """
    if not len(targets):
        raise UserError(f"there are no rows to fit {entry.full_name} on", expected="at least one labelled row apart")
    more: dict[str, Any] = dict(entry.settings(settings))
    about = about or About.plain(members.shape[0], members.shape[2])
    if "about" in entry.needs:
        more["about"] = about
    known = np.asarray(about.known, dtype=bool)
    if known.all() or stops_early(entry):
        return entry.load().fit(members, targets, **more)
    return entry.load().fit(partial.shared(members, known), targets, **more) | {KNOWN: known}


def apply(entry: Entry, state: State, members: np.ndarray) -> np.ndarray:
    """Pool `[K, N, C] -> [N, C]` and check that each row is a probability vector."""
    return run(entry, state, members)[0]


def run(entry: Entry, state: State, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pooled probabilities [N, C], and which members were used for which row [K, N]."""
    if stops_early(entry):
        return lazily(entry, state, members.shape[:2], lambda member, rows: members[member][rows])
    if KNOWN in state:
        members = partial.shared(members, np.asarray(state[KNOWN], dtype=bool))
    pooled = checked(entry, entry.load().apply(state, members), members.shape[1:])
    return pooled, np.ones(members.shape[:2], dtype=bool)


def stops_early(entry: Entry) -> bool:
    """Whether the method asks its members one after the other, and only as long as a row needs it."""
    return bool(entry.traits.get("stops_early"))


def lazily(entry: Entry, state: State, shape: tuple[int, ...], ask: Ask) -> tuple[np.ndarray, np.ndarray]:
    """Ask members in the method's order, each for the rows that are still open only; `shape` is (K, N).

    Gives pooled probabilities [N, C] and `used [K, N]`: exactly the rows that each member was asked for.
    """
    method = entry.load()
    members, count = shape
    used = np.zeros((members, count), dtype=bool)
    rows, answers = np.arange(count), []
    kept: State = {}
    order = [int(member) for member in method.order(state)]
    for place, member in enumerate(order):
        used[member, rows] = True
        answer, enough, kept = method.stage(state, kept, place, ask(member, rows))
        done = enough | (place == len(order) - 1)
        answers.append((rows[done], answer[done]))
        rows, kept = rows[~done], {name: array[~done] for name, array in kept.items()}
        if not len(rows):
            break
    pooled = np.empty((count, answers[0][1].shape[1]))
    for where, answer in answers:
        pooled[where] = answer
    return checked(entry, pooled, pooled.shape), used


def checked(entry: Entry, answer: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The answer as float64, held to the simplex."""
    pooled = np.asarray(answer, dtype=np.float64)
    if pooled.shape != shape:
        raise ValueError(f"{entry.full_name} returned {pooled.shape}, expected {shape}")
    # Said as what must hold, because NaN fails every comparison.
    if not ((pooled >= -SIMPLEX_TOLERANCE).all() and (np.abs(pooled.sum(axis=1) - 1) <= SIMPLEX_TOLERANCE).all()):
        raise ValueError(f"{entry.full_name} returned rows that are not probabilities")
    return np.clip(pooled, 0.0, 1.0)


def folds(names: Sequence[str]) -> np.ndarray:
    """The fold [N] of each row, by its id or its group's name alone."""
    return np.floor(FOLDS * uniform(list(names), "outputs", "fold")).astype(np.int64)


def crossfitted(
    entry: Entry,
    members: np.ndarray,
    targets: np.ndarray,
    settings: Mapping[str, Any],
    fold: np.ndarray,
    about: About | None = None,
    state: dict[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the method says of rows that it was not fitted to: `[N, C]` and `used [K, N]`, by `fold [N]`.

    `state` is what `fit` gives for all rows, where the caller has it. A method that fits nothing is applied once.
    Where all rows are in one fold there is nothing apart to fit on, and the members' plain mean stands in.
    """
    first = fit(entry, members, targets, settings, about) if state is None else state
    if not set(first) - {KNOWN}:
        return run(entry, first, members)
    pooled, used = np.empty(members.shape[1:]), np.ones(members.shape[:2], dtype=bool)
    for number in np.unique(fold):
        held = fold == number
        if held.all():
            return members.mean(axis=0), used
        state = fit(entry, members[:, ~held], targets[~held], settings, about)
        pooled[held], used[:, held] = run(entry, state, members[:, held])
    return pooled, used
