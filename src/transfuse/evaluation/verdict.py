"""The verdict: recommendation, claims and flags from evidence; without it readers would draw them by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfuse import registry
from transfuse.evaluation.case import Case, MarginRule
from transfuse.evaluation.claims import comparison_rows, status
from transfuse.evaluation.recommend import choose, recommend, shown_worse
from transfuse.evaluation.words import named, number, sentence
from transfuse.jsonio import plain
from transfuse.types import Arm, Claim, Evidence, Flag, Verdict

__all__ = ["Case", "Judgement", "MarginRule", "judge", "record", "status"]

QUESTIONS = "evaluation/questions"
COPIES = "copies"
SCHEMA = "transfuse/evidence/1"
ARM_KEYS = ("name", "role", "members", "method", "train", "seeds", "cost")


@dataclass(frozen=True)
class Judgement:
    """The verdict, the evidence it rests on, the margin in the primary metric's unit, and what was judged."""

    verdict: Verdict
    evidence: tuple[Evidence, ...]
    margin: float
    case: Case

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of the case."""
        return self.case.arms


def judge(case: Case) -> Judgement:
    """Ask every question of the shelf, then recommend, claim and flag from the answers.

    Claims are made for the primary metric, and for accuracy beside it where it was asked for. Every id in the verdict
    names a row of `evidence`.
    """
    entries = sorted(registry.shelf(QUESTIONS).values(), key=lambda entry: (entry.order, entry.name))
    rows = {row.id: row for entry in entries for row in entry.load().ask(case)}
    choice = choose(case)
    compared = {frozenset(couple) for couple in case.comparisons}
    for row in choice.rows:
        # The mirror of a comparison tells nothing new.
        if frozenset((row.arm, row.versus)) not in compared:
            rows[row.id] = row
    flags = list(case.flags)
    if case.winner != case.best_single:
        against = comparison_rows(case, [(case.winner, case.best_single)], case.task.metric, corrected=False)[0]
        if shown_worse(against):
            rows.setdefault(against.id, against)
            flags.append(_worse_than_best_single(against))
    flags += [_capacity(row) for row in rows.values() if _rivals_copies(row, case)]
    verdict = Verdict(recommend(case, choice), tuple(_claims(case, rows)), tuple(flags))
    return Judgement(verdict, tuple(rows.values()), case.margin_of(case.task.metric), case)


def _claims(case: Case, rows: Mapping[str, Evidence]) -> list[Claim]:
    """One claim for each comparison and claimed metric, from its evidence row."""
    claimed = [metric for metric in case.metrics if metric in (case.task.metric, "accuracy")]
    paired = {(row.arm, row.versus, row.quantity): row for row in rows.values() if row.versus is not None}
    claims = []
    for arm, versus in case.comparisons:
        for metric in claimed:
            row = paired[arm, versus, metric]
            claims.append(Claim(arm, versus, metric, row.provenance["status"], (row.id,), sentence(row, case)))
    return claims


def _worse_than_best_single(row: Evidence) -> Flag:
    low, high = number(row.low or 0.0, row.unit, signed=True), number(row.high or 0.0, row.unit, signed=True)
    why = (
        f"The best candidate, {row.arm}, is shown worse than the best single source, {row.versus}:"
        f" its {named(row.quantity)} differs by {low} to {high} ({row.direction} is better)."
    )
    return Flag("worse_than_best_single", why, (row.id,))


def _rivals_copies(row: Evidence, case: Case) -> bool:
    """Whether copies of one source are shown not inferior to the winner: its gain over them stays below the margin."""
    if (row.arm, row.versus, row.quantity) != (case.winner, COPIES, case.task.metric) or row.low is None:
        return False
    margin = row.provenance["margin"]
    return row.low > -margin if row.direction == "lower" else row.high is not None and row.high < margin


def _capacity(row: Evidence) -> Flag:
    low, high = number(row.low or 0.0, row.unit, signed=True), number(row.high or 0.0, row.unit, signed=True)
    why = (
        f"Copies of the best single source, fused in the same way, do as well as {row.arm} or better: its"
        f" {named(row.quantity)} differs from theirs by {low} to {high} ({row.direction} is better)."
        " What it gains over one source may come from more columns, not from different sources."
    )
    return Flag("capacity_not_diversity", why, (row.id,))


def record(
    judgement: Judgement,
    arms: Sequence[Arm],
    ledger: Mapping[str, Any],
    setup: Mapping[str, Any],
    not_measured: Sequence[Any] = (),
) -> dict[str, Any]:
    """The content of `evidence.json`: plain JSON values, no clock, no path, the same for the same judgement."""
    verdict = judgement.verdict
    return {
        "schema": SCHEMA,
        "verdict": {
            "recommendation": plain(verdict.recommendation),
            "claims": plain(verdict.claims),
            "flags": plain(verdict.flags),
        },
        "arms": [{key: plain(getattr(arm, key)) for key in ARM_KEYS} for arm in arms],
        "evidence": [row.record() for row in judgement.evidence],
        "ledger": plain(dict(ledger)),
        "setup": plain(dict(setup)),
        "not_measured": plain(list(not_measured)),
    }
