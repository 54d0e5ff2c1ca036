"""The verdict: recommendation, claims and flags from evidence; without it readers would draw them by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transfuse import registry
from transfuse.evaluation.case import Case
from transfuse.evaluation.claims import claimed
from transfuse.evaluation.measure import prepare
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.recommend import beside, choose, recommend
from transfuse.evaluation.words import sentence
from transfuse.jsonio import plain
from transfuse.threads import linear_algebra
from transfuse.types import CLEAN, Arm, Claim, Evidence, Verdict

QUESTIONS = "evaluation/questions"
SCHEMA = "transfuse/evidence/1"
ARM_KEYS = ("name", "role", "members", "method", "train", "seeds", "cost")


@dataclass(frozen=True)
class Judgement:
    """The verdict, the evidence it rests on, the margin in the primary metric's unit, what was judged, and what was not
    asked because it does not fit the kind of task, with the reasons."""

    verdict: Verdict
    evidence: tuple[Evidence, ...]
    margin: float
    case: Case
    silent: Mapping[str, str] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of the case."""
        return self.case.arms


@linear_algebra()
def judge(case: Case) -> Judgement:
    """Ask every question of the shelf, then recommend, claim and flag from the answers.

    Claims are made of the comparisons asked for, then of what ships against the best single, then against a single
    model that decides in its place. Flags are those of the case, then what questions make of all rows. Every id in the
    verdict names a row of `evidence`.
    """
    prepare(list(case.tables.values()), [find_metric(name) for name in case.metrics])
    entries = sorted(registry.shelf(QUESTIONS).values(), key=lambda entry: (entry.order, entry.name))
    questions = [entry.load() for entry in entries]
    rows = {row.id: row for question in questions for row in question.ask(case)}
    choice = choose(case)
    compared = {frozenset(couple) for couple in case.comparisons}
    for row in choice.rows:
        # The mirror of a comparison tells nothing new.
        if frozenset((row.arm, row.versus)) not in compared:
            rows.setdefault(row.id, row)
    raised = [flag for question in questions if hasattr(question, "flags") for flag in question.flags(case, rows)]
    flags = (*case.flags, *raised)
    decisive = [(row.arm, row.provenance["decides"]) for row in rows.values() if "decides" in row.provenance]
    couples = tuple(dict.fromkeys((*case.comparisons, *beside(case, choice), *decisive)))
    verdict = Verdict(recommend(case, choice), tuple(_claims(case, couples, rows)), flags)
    silent = {
        what: why
        for question in questions
        if hasattr(question, "silent")
        for what, why in question.silent(case).items()
    }
    return Judgement(verdict, tuple(rows.values()), case.margin_of(case.task.metric), case, silent)


def _claims(case: Case, couples: Sequence[tuple[str, str]], rows: Mapping[str, Evidence]) -> list[Claim]:
    """One claim for each comparison and claimed metric, from its evidence row."""
    paired = {
        (row.arm, row.versus, row.quantity): row for row in rows.values() if row.versus and row.condition == CLEAN
    }
    claims = []
    for arm, versus in couples:
        for metric in claimed(case):
            row = paired[arm, versus, metric]
            claims.append(Claim(arm, versus, metric, row.provenance["status"], (row.id,), sentence(row, case)))
    return claims


def record(
    judgement: Judgement,
    arms: Sequence[Arm],
    ledger: Mapping[str, Any],
    setup: Mapping[str, Any],
    not_measured: Sequence[Any] = (),
) -> dict[str, Any]:
    """The content of `evidence.json`: plain JSON values, no clock, no path, the same for the same judgement."""
    verdict = judgement.verdict
    silent = [{"what": what, "why": why} for what, why in judgement.silent.items()]
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
        "not_measured": [*silent, *plain(list(not_measured))],
    }
