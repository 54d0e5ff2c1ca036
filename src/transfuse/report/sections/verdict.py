"""What to ship, what was shown, and what must temper it; without it readers would draw the conclusion alone."""

from __future__ import annotations

from dataclasses import replace

from transfuse.figures import plural, roughly
from transfuse.report.blocks import Block, Callout, Callouts, Fact, Facts, Heading, Prose, Span, Text
from transfuse.report.claimed import IDENTICAL, amount, beaten, deciding, in_a_line, unbeaten
from transfuse.report.numbers import better, bounds, spell
from transfuse.report.pieces import defined
from transfuse.report.plainly import plainly
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import CHOSEN, flag_title, form, listed
from transfuse.types import Claim, Evidence, Flag, Undefined

ORDER = 10
TEMPERED = "What tempers it: "
SETTLED = "nothing, at this margin it is settled."
SURE = {"better": "Yes. ", "equivalent": "No. ", "worse": "No. "}
# Below so many judged items an interval is told to be rough.
FEW = 30


def blocks(view: View) -> list[Block]:
    """Recommendation in a box that can be read alone, its figures, the flags, and how far all this reaches."""
    return [
        Heading("The verdict", "verdict", "Verdict"),
        recommendation(view),
        *_facts(view),
        *_flags(view),
        Text(reach(view)),
    ]


def recommendation(view: View) -> Callout:
    """What ships, whether fusing pays, what it costs, what tempers it, what would settle it."""
    chosen = view.recommendation
    invalid = any(flag.flag == "invalid" for flag in view.flags)
    worse = beaten(view)
    single = "the best single model" if worse and worse.versus == view.best_single else worse and worse.versus
    doubt = "not valid" if invalid else f"shown worse than {single}" if worse else ""
    if not doubt and any(flag.flag == "no_better_than_prior" for flag in view.flags):
        doubt = "not shown better than answering without looking"
    against = [name for claim in view.claims if claim.arm == chosen.arm for name in claim.evidence]
    levels = [row.id for name in (view.metric, "accuracy") if (row := view.level(chosen.arm, name))]
    lines = (
        *(plainly(view), answer(view), _of_shipped(view), _instead(view, worse)),
        *(_cost(view), _tempered(view), settling(view), _why(view)),
    )
    return Callout(
        label=f"Recommendation, but {doubt} (see the flags below)" if doubt else "Recommendation",
        title=f"Ship {chosen.arm}: {form(chosen.form, view.arm(chosen.arm))}.",
        body=tuple(prose for prose in lines if prose),
        evidence=view.known(dict.fromkeys([*levels, *against])),
        tone="worse" if doubt else "plain",
        marked=True,
    )


def answer(view: View) -> Prose:
    """The claim that decides: the challenger against what it has to beat first."""
    found = deciding(view)
    if found is None:
        return (Span("What was shown: ", tone="name"), "No comparison was judged in this run, so nothing is claimed.")
    fusion = view.arm(found.arm).get("role") == "candidate" and view.protocol in ("locked", "crossfit")
    asked = "Does fusing pay? " if fusion else f"Is {'it' if found.arm == view.winner else found.arm} better? "
    return (Span(asked, tone="name"), SURE.get(found.status, ""), *in_a_line(view, found))


def _of_shipped(view: View) -> Prose:
    """The claim about what ships, where the deciding one is about another arm."""
    own = [claim for claim in view.claims if (claim.arm, claim.quantity) == (view.judged_as, view.metric)]
    # Predictions from elsewhere have no best single model, only others.
    found = next((claim for claim in own if view.best_single in (None, claim.versus)), None)
    found = found and (unbeaten(view, found) or found)
    if found is None or found is deciding(view):
        return ()
    return (Span("And what ships? ", tone="name"), *in_a_line(view, found))


def _instead(view: View, worse: Evidence | None) -> Prose:
    """What the judged rows speak for, where they speak against what was chosen before they were opened."""
    if worse is None:
        return ()
    jumps = view.arm(worse.versus or "").get("method") == CHOSEN
    return (
        Span("What to ship instead: ", tone="name"),
        Span("the best single model" if jumps else str(worse.versus), (worse.id,)),
        f". {worse.arm} was chosen before the judged rows were opened, and they show it worse.",
    )


def _times(ratio: float) -> str:
    """How many times as much, in as many digits as help."""
    if ratio >= 100:
        return f"{float(f'{ratio:.2g}'):,.0f} times"
    if ratio > 1.05:
        return f"{ratio:.1f} times"
    return "about" if ratio > 0.95 else f"{ratio:.2f} times"


def _cost(view: View) -> Prose:
    """The counted cost of what ships, and how many times the best single's that is."""
    flops, size = (_own(view, name) for name in ("inference_flops", "parameters"))
    if flops is None or size is None:
        return ()
    said: Prose = (
        Span("What it costs: ", tone="name"),
        view.number(flops),
        " per item, ",
        view.number(size),
        " parameters",
    )
    base = view.level(view.best_single, "inference_flops") if view.best_single else None
    own, other = defined(flops), defined(base)
    if view.judged_as == view.best_single or base is None or not own or not other:
        return (*said, ".")
    said = (*said, "; ", Span(_times(own / other), (flops.id, base.id)), " the compute of the best single model.")
    found = deciding(view)
    if found is None or found.status in ("better", "worse") or found.arm != view.winner or own <= 1.05 * other:
        return said
    if found.versus != view.best_single:
        return said
    return (
        *said,
        " No gain beyond the margin is shown for that: where cost matters, ship ",
        Span("the best single model" if view.arm(base.arm).get("method") == CHOSEN else base.arm, tone="name"),
        ".",
    )


def _own(view: View, name: str) -> Evidence | None:
    """A level of what ships: its cost is its own, the rest that of what was judged for it."""
    return view.level(view.winner, name) or view.level(view.judged_as, name)


def _tempered(view: View) -> Prose:
    lead = Span(TEMPERED, tone="name")
    if not view.flags:
        return (lead, "No flag was raised.")
    names = [_title(view, flag) for flag in view.flags]
    short = [name[:1].lower() + name[1:] for name in dict.fromkeys(names)]
    return (lead, Span("; ".join(short), tone="flag"), " (below).")


def settling(view: View) -> Prose:
    """What would settle the deciding comparison: the cheapest next experiment, or that nothing is open."""
    found = deciding(view)
    if found is None or _alike(view, found):
        return ()
    asked = f"What would settle {found.arm} against {found.versus}: " if _of_shipped(view) else "What would settle it: "
    lead = Span(asked, tone="name")
    row = next((row for row in view.all("next_experiment") if (row.arm, row.versus) == (found.arm, found.versus)), None)
    if row is not None and row.provenance.get("sentence"):
        return (lead, Span(str(row.provenance["sentence"]), (row.id,)))
    if found.status != "not shown":
        return (lead, SETTLED)
    return _in_all(view, found, lead)


def _alike(view: View, found: Claim) -> bool:
    """Whether both arms gave the very same predictions, which no more rows would part."""
    row = view.claimed(found)
    return row is not None and row.method.startswith(IDENTICAL)


def _in_all(view: View, claim: Claim, lead: Span) -> Prose:
    """How many items or runs in all would do, at the difference seen."""
    row = view.claimed(claim)
    if row is None:
        return ()
    counts = (
        (row.provenance.get(key), noun) for key, noun in (("settling_items", "judged item"), ("settling_runs", "run"))
    )
    known = [plural(roughly(count), noun) for count, noun in counts if isinstance(count, int)]
    if not known:
        return ()
    return (lead, "about ", Span(" or ".join(known), (row.id,)), " in all, if the difference stays as it is.")


def _why(view: View) -> Prose:
    return (Span("Why this arm: ", tone="name"), view.recommendation.why) if view.recommendation.why else ()


def _facts(view: View) -> list[Block]:
    facts = []
    for name in dict.fromkeys([view.metric, "accuracy", "inference_flops", "parameters"]):
        costs = name in ("inference_flops", "parameters")
        row = _own(view, name) if costs else view.level(view.judged_as, name)
        if row is not None and not isinstance(row.value, Undefined):
            interval = " to ".join(bounds(row))
            hint = f"95 % interval {interval}; {better(row.direction)}" if interval else better(row.direction)
            facts.append(Fact(quantity(name).title, view.number(row), f"{hint}{_beside(view, name)}"))
    return [Facts(tuple(facts))] if facts else []


def _beside(view: View, name: str) -> str:
    """What the best single model has of the same, so that a figure says something by itself."""
    row = view.level(view.best_single, name) if view.best_single and view.best_single != view.judged_as else None
    if row is None or isinstance(row.value, Undefined):
        return ""
    return f"; best single {spell(replace(row, low=None, high=None))}"


def _flags(view: View) -> list[Block]:
    if not view.flags:
        return []
    boxes = [
        Callout(
            "Keep in mind",
            _title(view, flag),
            "",
            ((flag.why,),),
            view.known(flag.evidence),
            "flag",
        )
        for flag in view.flags
    ]
    return [Callouts(tuple(boxes))]


def _title(view: View, flag: Flag) -> str:
    return flag_title(flag.flag, [view.rows[name] for name in view.known(flag.evidence)])


def reach(view: View) -> Prose:
    """How far the claims reach: one data set, the margin that was fixed, and what pretraining may have seen."""
    source = view.data.get("source")
    said = [f"One data set{f' ({source})' if source else ''}, no claim beyond it."]
    if view.margin is not None:
        name = (view.setup.get("margin") or {}).get("metric") or view.metric
        row = next(iter(view.find(name)), None)
        counts = amount(Evidence("", "", name, 0.0, row.unit if row else "", "lower", versus="any"), view.margin)
        title = quantity(name).title
        margin = "the rule for this margin" if (view.setup.get("margin") or {}).get("rule") == "auto" else "this margin"
        said.append(
            f"A difference in {title} counts from {counts}: {margin} was fixed beforehand."
            if view.margin
            else f"Any difference in {title} counts: the margin is 0."
        )
    if family := _family(view):
        said.append(f"What is shown holds after correction over {family}; intervals are each for itself.")
    judged = view.data.get("judged")
    if isinstance(judged, int) and judged < FEW:
        said.append(f"Only {plural(judged, 'item')} judged: intervals over so few are rough.")
    unsure = [str(source.get("name")) for source in view.setup.get("sources") or () if source.get("seen") == "unknown"]
    if unsure and not any(flag.flag == "unseen_unknown" for flag in view.flags):
        said.append(f"Whether {listed(unsure)} saw any of the judged items during pretraining is unknown.")
    return (" ".join(said),)


def _family(view: View) -> str:
    """Over what the deciding claims were corrected, if they were."""
    rows = (view.claimed(claim) for claim in view.claims if claim.quantity == view.metric)
    return next((row.family for row in rows if row is not None and row.family), "")
