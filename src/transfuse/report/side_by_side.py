"""Two runs beside each other; without it a reader would hunt through two reports for what changed, and trust too much.

Nothing is tested here: a difference between two runs needs the predictions of both on the same rows, which
`transfuse evaluate` judges. What is shown is what each run found, and whether the two may be compared at all.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from transfuse.report.blocks import Block, Callout, Code, Column, Heading, Row, Span, Table, Text
from transfuse.report.claimed import deciding
from transfuse.report.document import Document, Sections, findings
from transfuse.report.numbers import scaled, spell
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import STATUS, flag_title, form
from transfuse.types import Evidence


@dataclass(frozen=True)
class Pair:
    """Two runs by the names they are shown under."""

    first: View
    second: View
    names: tuple[str, str]

    @property
    def title(self) -> str:
        return f"{self.names[0]} beside {self.names[1]}"

    @property
    def summary(self) -> str:
        return f"{self.names[0]}: {self.first.summary}. {self.names[1]}: {self.second.summary}."

    @property
    def views(self) -> tuple[View, View]:
        return self.first, self.second

    @property
    def same_rows(self) -> bool:
        """Whether both were judged on the same items with the same labels."""
        prints = [view.ledger.get("fingerprint") for view in self.views]
        return prints[0] is not None and prints[0] == prints[1]

    @property
    def lists(self) -> tuple[tuple[str, str, tuple[Evidence, ...]], ...]:
        """All rows of both, by the letter of their marks."""
        return tuple((letter, f"Evidence of {name}", view.evidence) for letter, name, view in self._lettered())

    @property
    def marks(self) -> dict[str, str]:
        """A mark for each row; ids of the two runs are told apart by the letter in front."""
        return {
            f"{letter}:{row.id}": f"{letter}{place}"
            for letter, _, view in self._lettered()
            for place, row in enumerate(view.evidence, start=1)
        }

    def document(self) -> Document:
        """Both runs as one page."""
        return Document(
            title=self.title,
            summary=self.summary,
            sections=self.sections(),
            lists=self.lists,
            marks=self.marks,
            tab=self.title,
            where="A12 is the twelfth row of the first run's `evidence.json`, B3 the third of the second's.",
            version=str(self.first.setup.get("version") or ""),
        )

    def sections(self) -> Sections:
        """What each recommends, what may be compared, levels, claims, cost, and what differs in the set-up."""
        found = [
            (Heading("What each run recommends", "verdict", "Verdict"), [self._reach(), self._overview()]),
            (Heading("Levels", "levels", "Levels"), self._levels()),
            (Heading("Claims", "claims", "Claims"), self._claims()),
            (Heading("What else each found", "findings", "Findings"), self._findings()),
            (Heading("What differs in the set-up", "setup", "Set-up"), self._differences()),
        ]
        return [(heading, blocks) for heading, blocks in found if blocks]

    def _lettered(self) -> list[tuple[str, str, View]]:
        return [(letter, name, view) for letter, name, view in zip("AB", self.names, self.views, strict=True)]

    def _reach(self) -> Callout:
        if self.same_rows:
            said = "Both were judged on the same items with the same labels, so their levels may be put side by side."
            hint = "A test of the difference needs the predictions of both: transfuse evaluate."
            return Callout("Same judged rows", "These runs can be compared", hint, body=((said,),))
        said = "The judged items differ, or are not known to be the same: a higher level may only mean easier items."
        title = "These runs cannot be compared level by level"
        return Callout("Other judged rows", title, body=((said,),), tone="flag")

    def _overview(self) -> Table:
        facts = [_overview(view) for view in self.views]
        rows = [
            Row((Span(name, tone="name"), *(Span(str(fact.get(name, "–"))) for fact in facts))) for name in facts[0]
        ]
        return Table("The two runs", (Column(""), *(Column(name) for name in self.names)), tuple(rows))

    def _levels(self) -> list[Block]:
        measures = list(dict.fromkeys((self.first.metric, self.second.metric, "accuracy")))
        arms = list(dict.fromkeys(str(arm["name"]) for view in self.views for arm in view.arms))
        columns = [Column("Arm")]
        columns += [
            Column(f"{quantity(name).title}, {run}", self.first.column(name).hint, numeric=True)
            for name in measures
            for run in self.names
        ]
        rows = []
        for arm in arms:
            cells = [
                self._cell(letter, view, view.level(arm, name))
                for name in measures
                for letter, _, view in self._lettered()
            ]
            if any(cell.evidence for cell in cells):
                rows.append(Row((Span(arm, tone="name"), *cells), arm in {view.winner for view in self.views}))
        caption = "Every judged arm; what either run recommends is marked"
        return [Table(caption, tuple(columns), tuple(rows))] if rows else []

    def _cell(self, letter: str, view: View, row: Evidence | None) -> Span:
        """A cell of one run, its evidence under this page's marks."""
        cell = view.cell(row)
        ids = tuple(f"{letter}:{name}" for name in cell.evidence)
        return Span(cell.text, ids, cell.interval, cell.note, cell.tone)

    def _claims(self) -> list[Block]:
        keys = list(dict.fromkeys(
            (claim.arm, claim.versus, claim.quantity) for view in self.views for claim in view.claims
        ))  # fmt: skip
        rows = []
        for arm, versus, name in keys:
            cells = [Span(f"{arm} against {versus}", tone="name"), Span(quantity(name).title)]
            for letter, _, view in self._lettered():
                cells += self._claim(letter, view, (arm, versus, name))
            rows.append(Row(tuple(cells)))
        columns = [Column("Comparison"), Column("Measure")]
        for name in self.names:
            columns += [Column(name), Column("Difference", "95 % interval", numeric=True)]
        return [Table("Each claim in both runs", tuple(columns), tuple(rows))] if rows else []

    def _claim(self, letter: str, view: View, key: tuple[str, str, str]) -> list[Span]:
        found = next((claim for claim in view.claims if (claim.arm, claim.versus, claim.quantity) == key), None)
        if found is None:
            return [Span("not compared", tone="muted"), Span("–", tone="muted")]
        return [Span(STATUS[found.status], tone=found.status), self._cell(letter, view, view.claimed(found))]

    def _findings(self) -> list[Block]:
        """Section by section what each run's report says first; a dash where a run did not ask."""
        found = [findings(view) for view in self.views]
        headings = {name: each[name].text for each in found for name in each if name not in ("choices", "reproduce")}
        rows = [
            Row(
                (
                    Span(text, tone="name"),
                    *(Span(each[name].finding if name in each else "not asked") for each in found),
                )
            )
            for name, text in headings.items()
        ]
        columns = (Column("Section"), *(Column(name) for name in self.names))
        return [Table("The findings of both reports", columns, tuple(rows))] if rows else []

    def _differences(self) -> list[Block]:
        texts = [str(view.setup.get("recipe") or "").splitlines() for view in self.views]
        if not any(texts):
            return [Text(("Neither run holds a recipe: both judge predictions from elsewhere.",))]
        lines = list(difflib.unified_diff(texts[0], texts[1], self.names[0], self.names[1], lineterm="", n=1))
        if not lines:
            return [Text(("The recipes are the same, line by line.",))]
        return [Code("\n".join(lines), "Lines of the recipe that differ (− only in the first, + only in the second)")]


def _answer(view: View) -> str:
    """The claim that decides, in one line."""
    claim = deciding(view)
    row = view.claimed(claim) if claim is not None else None
    if claim is None or row is None:
        return "nothing was compared"
    return f"{STATUS[claim.status]}: {claim.arm} against {claim.versus}, {quantity(claim.quantity).title} {spell(row)}"


def _overview(view: View) -> dict[str, str]:
    """The facts of one run that a person looks at first."""
    chosen, data = view.recommendation, view.data
    cost = view.arm(chosen.arm).get("cost") or {}
    flags = [flag_title(flag.flag, [view.rows[name] for name in view.known(flag.evidence)]) for flag in view.flags]
    return {
        "Recommended": f"{chosen.arm}: {form(chosen.form, view.arm(chosen.arm))}",
        "Does fusing pay?": _answer(view),
        "Operations per item": scaled(float(cost["inference_flops"]), "FLOP") if cost.get("inference_flops") else "–",
        "Parameters": f"{cost['parameters']:,}" if cost.get("parameters") else "–",
        "Flags": "; ".join(flags) or "none",
        "Data": str(data.get("source") or "–"),
        "Judged items": f"{data['judged']:,}" if isinstance(data.get("judged"), int) else "–",
        "Runs": str(len(view.setup.get("runs") or ())),
        "Protocol": view.protocol,
        "Deciding measure": quantity(view.metric).title,
        "Margin": f"{view.margin:.4g}" if view.margin is not None else "–",
        "Openings of these rows": str(view.ledger.get("ordinal") or "–"),
    }
