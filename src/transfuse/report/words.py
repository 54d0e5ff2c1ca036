"""The house's terms in everyday words; without them the report could be read only by those who wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transfuse.types import Evidence

STATUS = {"better": "Shown better", "equivalent": "Shown equivalent", "worse": "Shown worse", "not shown": "Not shown"}
STATUS_MEANING = {
    "better": "the whole 95 % interval lies beyond the margin, on the good side",
    "equivalent": "the 90 % interval lies within the margin on both sides",
    "worse": "the whole 95 % interval lies beyond the margin, on the bad side",
    "not shown": "these data cannot tell; that is neither a yes nor a no",
}
FLAG = {
    "invalid": "This comparison is not valid",
    "negative_transfer": "A source does harm",
    "worse_than_best_single": "Shown worse than what it has to beat",
    "no_better_than_prior": "It is not shown better than answering without looking",
    "harm": "Something may be worse than before",
    "capacity_not_diversity": "The gain may come from size, not from different sources",
    "unseen_unknown": "A source may have seen the test rows",
    "near_identical": "Training rows nearly repeat judged rows",
    "dead_branch": "A branch of the fusion does nothing",
    "gradient_masking": "It may only look robust: its gradients are masked",
    "lineage": "Weights are merged that may not come from one start",
}
# The method of an arm whose predictions were handed in.
ELSEWHERE = "predictions"
# The method of what was chosen anew in each fold.
CHOSEN = "chosen in each fold"
ROLE = {"candidate": "fusion", "baseline": "to beat", "control": "control", "diagnostic": "diagnosis"}
PROTOCOL = {
    "locked": "One test set was kept apart. Nothing was chosen, tuned or calibrated on it.",
    "crossfit": "Every row was predicted by models, choices and calibration that never saw it (cross-fitting).",
    "predictions": "Predictions from elsewhere were judged; how their arms were chosen is not known here.",
}
# What an arm is, by its place on the ladder; names that end in a slash are followed by a source.
ARMS = (
    ("prior", "answers with the training rows' frequencies or mean, without looking"),
    ("as_is/", "the pretrained model as it comes"),
    ("frozen/", "one source, kept as it is, with a new head"),
    ("tuned/", "one source, trained further in full"),
    ("alternative", "another single source, named by hand, kept as it is, with a new head"),
    ("soup", "one source whose weights are the mean of several"),
    ("without/", "the fusion without this source"),
    ("ensemble", "the single models' answers, averaged"),
    ("copies", "the fusion of one source with itself"),
    ("random/", "the fusion with this branch not pretrained"),
    ("scratch", "the fusion without any pretraining"),
    ("compute_matched", "one source with the fusion's training compute"),
    ("parameter_matched", "one source with a head as large as the fusion"),
)
# What harm it is, by the quantity of the row that a flag rests on; a guard's standing is in its row.
HARM = {
    "worst_corruption": "It errs far more often on spoilt inputs",
    "class_difference": "Some classes pay for the gain",
    "group_difference": "Some groups pay for the gain",
}
GUARD = {"shown": "Something you guard has become worse", "not excluded": "Harm to something you guard is not excluded"}


def flag_title(flag: str, rows: Sequence[Evidence]) -> str:
    """A flag in a few words, from the rows that it rests on."""
    if flag == "harm" and rows:
        standing = str(rows[0].provenance.get("guard"))
        return GUARD.get(standing) or HARM.get(rows[0].quantity) or FLAG[flag]
    return FLAG.get(flag, flag.replace("_", " "))


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def form(name: str, arm: Mapping[str, Any]) -> str:
    """What it is that ships, in words, from its form and the arm's record."""
    if arm.get("method") == ELSEWHERE:
        # What stands behind predictions that were handed in is not known.
        return "the model behind these predictions"
    members = [str(member) for member in arm.get("members") or ()]
    if arm.get("method") == CHOSEN:
        return f"chosen in each fold among {listed(members)}"
    of = listed(members) or "its members"
    return {
        "single": f"a single pretrained model, {of}" if len(members) == 1 else "a single model",
        "soup": f"one model whose weights are averaged from {of}",
        "ensemble": f"an ensemble that averages the answers of {of}",
        "cascade": f"a cascade that asks {of} in turn",
        "fused": f"one network fused from {of}",
        "student": f"one model made of {of} and taught by other arms",
    }.get(name, name)


def role(arm: Mapping[str, Any]) -> str:
    """Its part in the comparison, in a word or two; predictions from elsewhere may be of anything."""
    name = str(arm.get("role", "unknown"))
    return "candidate" if name == "candidate" and arm.get("method") == ELSEWHERE else ROLE.get(name, name)


def what(arm: Mapping[str, Any]) -> str:
    """What an arm is, in words; a candidate is told by its method and training."""
    name = str(arm.get("name", ""))
    if arm.get("role") != "candidate":
        for rung, words in ARMS:
            if name == rung or (rung.endswith("/") and name.startswith(rung)):
                return words
    if arm.get("method") == CHOSEN:
        return f"chosen in each fold: {' or '.join(str(member) for member in arm.get('members') or ())}"
    of, training = listed([str(member) for member in arm.get("members") or ()]), arm.get("train")
    trained = f", {training}" if training and training != "none" else ""
    return f"{arm.get('method') or 'unknown method'} of {of or 'no members'}{trained}"
