"""Which source to take, and whether a second one is worth it; without it readers would pick from a table by eye."""

from __future__ import annotations

from transfuse.report.blocks import Block, Callout, Callouts, Heading, Prose, Text
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import STATUS, listed
from transfuse.types import Claim

ORDER = 10


def blocks(view: View) -> list[Block]:
    """The recommendation, the claims on a second model, sources that cannot be told apart, what was looked at."""
    found: list[Block] = [
        Heading("Which source, and is a second one worth it?", "answer", "Answer", _finding(view)),
        recommended(view),
    ]
    if view.claims:
        found.append(Callouts(tuple(_claim(view, claim) for claim in view.claims)))
    return [*found, *(Text(prose) for prose in (ties(view), looked_at(view)) if prose)]


def _finding(view: View) -> str:
    """The answer in one line."""
    status = f" A second model: {STATUS[view.claims[0].status].lower()}." if view.claims else ""
    return f"{recommended(view).title}{status}"


def recommended(view: View) -> Callout:
    """The source to start with, or the pair."""
    chosen = view.recommendation
    row = view.level(chosen.arm, "probe_log_loss")
    pair = chosen.form == "fused"
    members = [str(name) for name in view.arm(chosen.arm).get("members") or ()]
    title = f"Fuse {listed(members)}: a second model is worth it." if pair else f"Start with {chosen.arm} alone."
    return Callout(
        "Recommendation", title, body=((chosen.why,),), evidence=(row.id,) if row else (), tone="plain", marked=True
    )


def _claim(view: View, claim: Claim) -> Callout:
    sentence = claim.sentence[:1].upper() + claim.sentence[1:]
    row = view.claimed(claim)
    took = row.provenance.get("took") if row else None
    body: tuple[Prose, ...] = ((sentence,), *(((_took(took),),) if took else ()))
    return Callout(
        f"{STATUS[claim.status]} in {quantity(claim.quantity).title}",
        f"{claim.arm} against {claim.versus}",
        "each chosen in every fold on the other folds",
        body,
        view.known(claim.evidence),
        claim.status,
    )


def _took(took: list[dict[str, str]]) -> str:
    def counted(key: str) -> str:
        names = [each[key] for each in took]
        return listed([f"{name} ({names.count(name)} of {len(names)} folds)" for name in sorted(set(names))])

    return f"Single: {counted('single')}. Pair: {counted('pair')}."


def ties(view: View) -> Prose:
    """Groups of sources that are not shown to differ."""
    groups = [[str(name) for name in names] for names in view.record.get("ties") or ()]
    if len(groups) < 1 or sum(len(names) for names in groups) < 2:
        return ()
    told = "; then ".join(listed(names) for names in groups)
    return (
        f"In order, sources that are not shown to differ together: {told}. Within a group the order means nothing.",
    )


def looked_at(view: View) -> Prose:
    """On how many rows, how, and what follows for a later run."""
    notes = [str(note) for note in view.data.get("notes") or ()]
    said = (
        "A ridge head on frozen features, judged out of fold; it foretells what training will do, and trains nothing."
    )
    return (" ".join([said, *(f"{note[:1].upper()}{note[1:]}." for note in notes)]),)
