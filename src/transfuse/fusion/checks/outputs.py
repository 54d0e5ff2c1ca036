"""The laws of pooling predictions: without them, a pool could learn from the rows it judges, or forget a member."""

from __future__ import annotations

import json

import numpy as np

from transfuse.fusion import outputs_lift
from transfuse.fusion.checks.law import Family, distance, quiet, require, require_same, variants
from transfuse.kinds import LEAST_PROBABILITY
from transfuse.registry import Entry
from transfuse.seeds import stream

MEMBERS, ROWS, CLASSES = 3, 60, 4
State = dict[str, np.ndarray]


def _rows(draw: int, members: int = MEMBERS) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [K, N, C] of members that are right more often than not, each to another degree; targets [N]."""
    rng = stream("contract", draw)
    targets = rng.integers(0, CLASSES, ROWS)
    skill = np.linspace(1.0, 3.0, members)[:, None, None] * np.eye(CLASSES)[targets]
    logits = rng.normal(size=(members, ROWS, CLASSES)) + skill
    return outputs_lift.probabilities(logits, "logit"), targets


def _one_knows(knowing: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Members that guess, but for one that is right about nine times in ten."""
    rng = stream("contract knows", knowing, draw)
    targets = rng.integers(0, CLASSES, ROWS)
    members = rng.dirichlet(np.full(CLASSES, 2.0), (MEMBERS, ROWS))
    claimed = np.where(rng.random(ROWS) < 0.9, targets, rng.integers(0, CLASSES, ROWS))
    members[knowing] = 0.85 * np.eye(CLASSES)[claimed] + 0.15 / CLASSES
    return members, targets


def _fit(entry: Entry, members: np.ndarray, targets: np.ndarray) -> State:
    return outputs_lift.fit(entry, members, targets, {})


def _pool(entry: Entry, draw: int = 0) -> tuple[State, np.ndarray, np.ndarray, np.ndarray]:
    """Fitted on one draw, applied to another: state, members, targets, pooled."""
    state = _fit(entry, *_rows(draw))
    members, targets = _rows(draw + 100)
    return state, members, targets, outputs_lift.apply(entry, state, members)


def _loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    chosen = probabilities[..., np.arange(len(targets)), targets]
    return float(-np.log(np.clip(chosen, LEAST_PROBABILITY, None)).mean())


def probability_vector(entry: Entry) -> None:
    """Every row of the pool is a probability vector, at any setting and for any number of members."""
    for settings in variants(entry):
        for count in (1, 2, 5):
            state = outputs_lift.fit(entry, *_rows(0, count), settings)
            pooled = outputs_lift.apply(entry, state, _rows(1, count)[0])
            require_same(pooled.sum(axis=1), np.ones(ROWS), f"{count} members, sums of rows", 1e-6)


def certain_members(entry: Entry) -> None:
    """Members that say exactly 0 and 1, and contradict each other, still give a probability vector."""
    rng = stream("contract certain")
    members = np.eye(CLASSES)[rng.integers(0, CLASSES, (MEMBERS, ROWS))]
    pooled = outputs_lift.apply(entry, _fit(entry, members, rng.integers(0, CLASSES, ROWS)), members)
    require_same(pooled.sum(axis=1), np.ones(ROWS), "sums of rows", 1e-6)


def absent_class(entry: Entry) -> None:
    """A class without a row to fit on is no reason to fail."""
    members, targets = _rows(0)
    state = _fit(entry, members, np.where(targets == CLASSES - 1, 0, targets))
    require_same(outputs_lift.apply(entry, state, members).sum(axis=1), np.ones(ROWS), "sums of rows", 1e-6)


def rows_alone(entry: Entry) -> None:
    """A row's pool does not depend on the other rows, nor on their order."""
    state, members, _, pooled = _pool(entry)
    order = stream("contract order").permutation(ROWS)
    require_same(outputs_lift.apply(entry, state, members[:, order]), pooled[order], "rows in another order")
    alone = np.concatenate([outputs_lift.apply(entry, state, members[:, row : row + 1]) for row in range(5)])
    require_same(alone, pooled[:5], "one row at a time")


def state_apart(entry: Entry) -> None:
    """Rows that are pooled alter neither the fitted state nor what was given."""
    state, members, _, pooled = _pool(entry)
    before = {name: array.copy() for name, array in state.items()}
    given = members.copy()
    outputs_lift.apply(entry, state, _rows(7)[0])
    require(all(np.array_equal(state[name], before[name]) for name in before), "the state changed")
    require_same(outputs_lift.apply(entry, state, members), pooled, "pooled again after other rows")
    require(np.array_equal(members, given), "the members' probabilities were changed in place")


def fit_pure(entry: Entry) -> None:
    """Fitting changes nothing it was given, gives the same bits again, and moves no global random state."""
    members, targets = _rows(0)
    copies = members.copy(), targets.copy()
    with quiet("fitting"):
        once, again = _fit(entry, members, targets), _fit(entry, members, targets)
    require(np.array_equal(members, copies[0]) and np.array_equal(targets, copies[1]), "an input was changed in place")
    require(once.keys() == again.keys(), "the second fit names other things")
    require(all(np.array_equal(once[name], again[name]) for name in once), "the second fit differs from the first")


def state_can_be_written(entry: Entry) -> None:
    """The state is named arrays of finite numbers, and works the same after it was written and read."""
    state, members, _, pooled = _pool(entry)
    for name, array in state.items():
        require(isinstance(array, np.ndarray) and array.dtype.kind in "biuf", f"'{name}' is no array of numbers")
        require(bool(np.isfinite(array).all()), f"'{name}' holds NaN or infinity")
    written = json.dumps({name: array.tolist() for name, array in state.items()})
    read = {name: np.asarray(values) for name, values in json.loads(written).items()}
    require_same(outputs_lift.apply(entry, read, members), pooled, "the state read back")


def state_is_used(entry: Entry) -> None:
    """If something is fitted, rows on which another member is right give another pool."""
    members, _ = _rows(0)
    first, second = (_fit(entry, *_one_knows(knowing, 0)) for knowing in (0, MEMBERS - 1))
    pools = [outputs_lift.apply(entry, state, members) for state in (first, second)]
    require(not first or distance(*pools) > 1e-6, f"fitted {sorted(first)}, but the pool is the same without it")


def heard(entry: Entry) -> None:
    """A member that alone knows the answer is heard, whichever place it has."""
    for knowing in range(MEMBERS):
        state = _fit(entry, *_one_knows(knowing, 0))
        members, targets = _one_knows(knowing, 1)
        loss = _loss(outputs_lift.apply(entry, state, members), targets)
        require(loss < np.log(CLASSES), f"member {knowing}: log-loss {loss:.3f}, guessing has {np.log(CLASSES):.3f}")


def relabelled(entry: Entry) -> None:
    """Other names for the classes give the same pool under the other names."""
    (members, targets), (rows, _) = _rows(0), _rows(100)
    order = np.array([2, 0, 3, 1])
    state = _fit(entry, members[..., order], np.argsort(order)[targets])
    wanted = outputs_lift.apply(entry, _fit(entry, members, targets), rows)[:, order]
    require_same(outputs_lift.apply(entry, state, rows[..., order]), wanted, "classes in another order", 1e-5)


def same_for_copies(entry: Entry) -> None:
    """One member, or copies of one, gives that member's probabilities back."""
    (members, targets), (rows, _) = _rows(0), _rows(100)
    for count in (1, 4):
        state = _fit(entry, np.repeat(members[:1], count, axis=0), targets)
        pooled = outputs_lift.apply(entry, state, np.repeat(rows[:1], count, axis=0))
        require_same(pooled, rows[0], f"{count} copies")


def member_order(entry: Entry) -> None:
    """The members' order changes nothing."""
    (members, targets), (rows, _) = _rows(0), _rows(100)
    wanted = outputs_lift.apply(entry, _fit(entry, members, targets), rows)
    for order in ([2, 1, 0], [1, 2, 0]):
        state = _fit(entry, members[order], targets)
        require_same(outputs_lift.apply(entry, state, rows[order]), wanted, f"order {order}", 1e-6)


def between(entry: Entry) -> None:
    """In each class the pool lies between the members' smallest and largest probability."""
    _, members, _, pooled = _pool(entry)
    outside = np.maximum(members.min(axis=0) - pooled, pooled - members.max(axis=0)).max()
    require(outside <= 1e-9, f"outside by {outside:.3g}")


def unanimous(entry: Entry) -> None:
    """A class that every member puts first stays first."""
    for draw in range(3):
        _, members, _, pooled = _pool(entry, draw)
        votes = members.argmax(axis=2)
        agreed = (votes == votes[0]).all(axis=0)
        lost = int((pooled.argmax(axis=1) != votes[0])[agreed].sum())
        require(agreed.any() and not lost, f"{lost} of {int(agreed.sum())} unanimous rows changed class")


def pooling(entry: Entry) -> None:
    """The pool's mean log-loss is at most the mean of the members' log-losses."""
    for draw in range(5):
        _, members, targets, pooled = _pool(entry, draw)
        for truth in (targets, np.roll(targets, 1)):
            loss, mean = _loss(pooled, truth), _loss(members, truth)
            require(loss <= mean + 1e-12, f"log-loss {loss:.4f}, the members' mean {mean:.4f}")


OUTPUTS = Family(
    always=(
        probability_vector,
        certain_members,
        absent_class,
        rows_alone,
        state_apart,
        fit_pure,
        state_can_be_written,
        state_is_used,
        heard,
        relabelled,
    ),
    by_trait={
        "idempotent": (same_for_copies,),
        "symmetric": (member_order,),
        "convex": (between,),
        "unanimous": (unanimous,),
        "pooling": (pooling,),
    },
    # The last three are inequalities: a method may keep them here without promising them.
    two_sided=frozenset({"idempotent", "symmetric"}),
    use=lambda entry, settings: outputs_lift.fit(entry, *_rows(0), settings),
    maker="fit",
    given=2,
)
