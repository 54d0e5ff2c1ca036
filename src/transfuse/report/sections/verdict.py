"""What to ship, what was shown, and what must temper it; without it readers would draw the conclusion alone."""

from __future__ import annotations

from transfuse.report.blocks import Block, Callout, Callouts, Fact, Facts, Heading, Prose, Span, Text
from transfuse.report.numbers import better, bounds, plural, quantity, spell
from transfuse.report.view import View
from transfuse.report.words import FLAG, STATUS, STATUS_MEANING, form, listed, what
from transfuse.types import Claim, Evidence, Undefined

ORDER = 10


def blocks(view: View) -> list[Block]:
    """Recommendation, its figures, the claims by comparison, the flags, and how far all this reaches."""
    return [
        Heading("The verdict", "verdict", "Verdict"),
        recommendation(view),
        *_facts(view),
        *_claims(view),
        *_flags(view),
        Text(reach(view)),
    ]


def recommendation(view: View) -> Callout:
    chosen = view.recommendation
    members = [str(member) for member in view.arm(chosen.arm).get("members") or ()]
    invalid = any(flag.flag == "invalid" for flag in view.flags)
    against = [name for claim in view.claims if claim.arm == chosen.arm for name in claim.evidence]
    levels = [row.id for name in (view.metric, "accuracy") if (row := view.level(chosen.arm, name))]
    return Callout(
        label="Recommendation, but not valid: see the flags below" if invalid else "Recommendation",
        title=f"Ship {chosen.arm}: {form(chosen.form, members)}.",
        body=tuple(prose for prose in (_plainly(view), (chosen.why,) if chosen.why else ()) if prose),
        evidence=view.known(dict.fromkeys([*levels, *against])),
        tone="worse" if invalid else "plain",
        marked=True,
    )


def _plainly(view: View) -> Prose:
    """How often the recommended arm is right, against the best single one."""
    own = view.level(view.winner, "accuracy")
    if own is None or isinstance(own.value, Undefined):
        return ()
    of = f" of {plural(own.n, 'judged item')} right" if own.n else " right"
    said: Prose = ("It answers ", view.number(own), of)
    if view.winner == view.best_single:
        return (*said, "; it is the best single model.")
    other = view.level(view.best_single, "accuracy") if view.best_single else None
    if other is None or isinstance(other.value, Undefined):
        return (*said, ".")
    return (*said, "; the best single model, ", Span(other.arm, tone="name"), ", ", view.number(other), ".")


def _facts(view: View) -> list[Block]:
    facts = []
    for name in dict.fromkeys([view.metric, "accuracy", "inference_flops", "parameters"]):
        row = view.level(view.winner, name)
        if row is not None and not isinstance(row.value, Undefined):
            ends = " to ".join(bounds(row))
            hint = f"95 % interval {ends}; {better(row.direction)}" if ends else better(row.direction)
            facts.append(Fact(quantity(name).title, view.number(row), hint))
    return [Facts(tuple(facts))] if facts else []


def _claims(view: View) -> list[Block]:
    pairs = list(dict.fromkeys((claim.arm, claim.versus) for claim in view.claims))
    if not pairs:
        return [Text(("No comparison was judged in this run, so nothing is claimed.",))]
    used = [status for status in STATUS if any(claim.status == status for claim in view.claims)]
    legend = "; ".join(f"{STATUS[status].lower()} = {STATUS_MEANING[status]}" for status in used)
    boxes = Callouts(tuple(_comparison(view, arm, versus) for arm, versus in pairs))
    return [boxes, Text((f"How to read this: {legend}.",))]


def _comparison(view: View, arm: str, versus: str) -> Callout:
    """All claims of one pair in one box, the deciding metric first."""
    claims = [claim for claim in view.claims if (claim.arm, claim.versus) == (arm, versus)]
    claims.sort(key=lambda claim: claim.quantity != view.metric)
    first, *others = claims
    rival = "the best single model" if versus == view.best_single else what(view.arm(versus) or {"name": versus})
    return Callout(
        label=f"{STATUS[first.status]} in {quantity(first.quantity).title}",
        title=f"{arm} against {versus}",
        hint=rival,
        body=(_sentence(view, first), *(_aside(view, claim) for claim in others)),
        evidence=view.known(dict.fromkeys(name for claim in claims for name in claim.evidence)),
        tone=first.status,
    )


def _aside(view: View, claim: Claim) -> Prose:
    """A claim on another quantity than the deciding one, led by that quantity's name in the colour of its status."""
    name = quantity(claim.quantity).title
    return (Span(f"{name[:1].upper()}{name[1:]}: ", tone=claim.status), *_told(view, claim))


def _sentence(view: View, claim: Claim) -> Prose:
    """The deciding claim in its own words, as a sentence of its own."""
    first, *rest = _told(view, claim)
    return (first[:1].upper() + first[1:] if isinstance(first, str) else first, *rest)


def _told(view: View, claim: Claim) -> Prose:
    """The claim's words, without the names that stand above it already; told from the row where it has none."""
    opening = f"{claim.arm} against {claim.versus}, "
    if claim.sentence.startswith(opening):
        return (claim.sentence.removeprefix(opening).partition(": ")[2] or claim.sentence,)
    if claim.sentence:
        return (claim.sentence,)
    row = view.claimed(claim)
    status = STATUS[claim.status].lower()
    if row is None:
        return (f"{status}; the record holds no number for this comparison.",)
    if isinstance(row.value, Undefined):
        return (f"{status}; the difference is undefined: {row.value.reason}.",)
    return (f"{status}; the difference is ", Span(spell(row), (row.id,)), f" ({better(row.direction)}).")


def _flags(view: View) -> list[Block]:
    if not view.flags:
        return [Text(("No flag was raised.",))]
    boxes = [
        Callout(
            "Keep in mind",
            FLAG.get(flag.flag, flag.flag.replace("_", " ")),
            "",
            ((flag.why,),),
            view.known(flag.evidence),
            "flag",
        )
        for flag in view.flags
    ]
    return [Callouts(tuple(boxes))]


def reach(view: View) -> Prose:
    """How far the claims reach: one data set, the margin that was fixed, and what pretraining may have seen."""
    source = view.data.get("source")
    said = [f"One data set{f' ({source})' if source else ''}, no claim beyond it."]
    if view.margin is not None:
        name = (view.setup.get("margin") or {}).get("metric") or view.metric
        row = next(iter(view.find(name)), None)
        margin = Evidence("", "", name, view.margin, row.unit if row else "", "lower", versus="any")
        counts = spell(margin, interval=False).lstrip("+")
        said.append(f"A difference in {quantity(name).title} counts from {counts}; this margin was fixed beforehand.")
    unsure = [str(source.get("name")) for source in view.setup.get("sources") or () if source.get("seen") == "unknown"]
    if unsure and not any(flag.flag == "unseen_unknown" for flag in view.flags):
        said.append(f"Whether {listed(unsure)} saw any of the judged items during pretraining is unknown.")
    return (" ".join(said),)
