"""A reproducibility checklist, filled in as far as the evidence can answer; the rest is asked, not guessed.

Questions follow those that machine-learning conferences ask of authors: claims, limits, data, splits, error bars,
compute, code, licences, safeguards.
"""

from __future__ import annotations

from transfuse.report.document import findings
from transfuse.report.text import escape
from transfuse.report.view import View
from transfuse.report.words import PROTOCOL

CITATION = "Pineau et al., Improving reproducibility in machine learning research, JMLR 2021; NeurIPS checklist"
TRAITS = {"suffix": ".md"}
BEYOND = {
    "Is it looked at who is served worse?": "harm",
    "Is confidence checked against truth?": "calibration",
    "Is robustness to spoilt inputs measured?": "conditions",
    "Are inputs of another kind tried?": "outside",
    "Is it said where a gain comes from (ablation)?": "attribution",
    "Is learning from fewer rows shown?": "learning",
    "Is forgetting measured?": "retention",
}
YES, PARTLY, ASK = "Yes", "Partly", "To be answered"


def render(view: View) -> str:
    """The checklist as Markdown: question, answer, and what the answer rests on."""
    rows = [*_claims(view), *_data(view), *_statistics(view), *_beyond(view), *_compute(view), *_materials(view)]
    body = "\n".join(f"| {escape(asked)} | **{answer}** | {escape(why)} |" for asked, answer, why in rows)
    head = f"# Reproducibility checklist: {escape(view.title)}\n\n{escape(view.summary)}"
    return f"{head}\n\n| question | answer | what it rests on |\n| --- | --- | --- |\n{body}\n"


Row = tuple[str, str, str]


def _claims(view: View) -> list[Row]:
    shown = [claim for claim in view.claims if claim.status != "not shown"]
    limits = [flag.flag for flag in view.flags]
    told = f"{len(view.claims)} comparisons with intervals, {len(shown)} of them shown; margin fixed beforehand"
    unmeasured = f"{len(view.not_measured)} things listed as not measured; flags: {', '.join(limits) or 'none'}"
    return [
        ("Do the claims match the evidence?", YES if view.claims else ASK, told),
        ("Are limits stated?", YES, unmeasured),
        ("Are broader impacts discussed?", ASK, "the evidence holds no knowledge of the use"),
    ]


def _data(view: View) -> list[Row]:
    data = view.data
    counts = ", ".join(
        f"{data[name]:,} {name}" for name in ("train", "selection", "judged") if isinstance(data.get(name), int)
    )
    notes = "; ".join(str(note) for note in data.get("notes") or ()) or "no notes"
    openings = view.ledger.get("ordinal")
    asked = "this plan's opening of these judged rows"
    opened = f"{asked} is number {openings}" if openings else "predictions from elsewhere: not known"
    return [
        ("Is the data described?", YES if data.get("source") else ASK, f"{data.get('source') or 'no name'}; {notes}"),
        ("Are the splits given?", YES if counts else ASK, f"{counts}. {PROTOCOL.get(view.protocol, '')}"),
        ("Was the test set used once?", YES if openings == 1 else PARTLY if openings else ASK, opened),
        ("Is consent or provenance of the data discussed?", ASK, "to be told by whoever collected it"),
    ]


def _statistics(view: View) -> list[Row]:
    paired = [row for row in view.evidence if row.versus is not None]
    sure = sum(row.low is not None for row in paired)
    runs = len(view.setup.get("runs") or ())
    optimism = next((str(row.provenance.get("sentence") or "") for row in view.find("selection_optimism")), "")
    how = sorted({row.method for row in paired if row.low is not None})
    return [
        ("Are error bars given?", YES if sure else ASK, f"{sure} of {len(paired)} differences have an interval"),
        ("Is it said how they were made?", YES if how else ASK, "; ".join(how[:3]) or "no interval"),
        (
            "Is the optimism of choosing told?",
            YES if optimism else ASK,
            optimism or "no number of it; choices were made on rows apart from the judged ones",
        ),
        (
            "How many runs?",
            YES if runs > 1 else PARTLY,
            f"{runs}; a claim from one run speaks of the trained models only",
        ),
        (
            "Are all settings given?",
            YES if view.setup.get("recipe") else ASK,
            "the recipe with every default written out",
        ),
    ]


def _beyond(view: View) -> list[Row]:
    """What was asked beyond the deciding measure, each with what was found."""
    found = findings(view)
    return [
        (asked, YES if name in found else ASK, found[name].finding if name in found else "not measured in this run")
        for asked, name in BEYOND.items()
    ]


def _compute(view: View) -> list[Row]:
    costs = [arm for arm in view.arms if arm.get("cost")]
    machine = view.measured.get("machine") or {}
    seconds = view.measured.get("cpu_seconds")
    told = ", ".join(f"{key} {value}" for key, value in machine.items()) or "not measured"
    counted = f"operations and parameters of {len(costs)} arms are counted; measured on: {told}"
    return [
        ("Is the compute given?", YES if costs else ASK, counted),
        (
            "Is the total compute given?",
            YES if seconds else ASK,
            f"{seconds} CPU seconds" if seconds else "not measured",
        ),
    ]


def _materials(view: View) -> list[Row]:
    sources = view.setup.get("sources") or ()
    unknown = [str(source.get("name")) for source in sources if source.get("licence") in (None, "unknown")]
    seen = [str(source.get("name")) for source in sources if source.get("seen") == "unknown"]
    licences = ", ".join(f"{source.get('name')}: {source.get('licence')}" for source in sources) or "no sources named"
    contact = f"not stated for {', '.join(seen)}" if seen else "stated for every source"
    return [
        (
            "Can it be run again?",
            YES if view.setup.get("command") else ASK,
            str(view.setup.get("command") or "no command"),
        ),
        ("Are the licences of what was used named?", PARTLY if unknown else YES if sources else ASK, licences),
        (
            "Is contamination of pretraining by judged rows ruled out?",
            PARTLY if seen else YES if sources else ASK,
            contact,
        ),
        ("Are safeguards needed?", ASK, "depends on the use"),
    ]
