"""A model card for the recommended arm, with the metadata that model hubs read.

The head is YAML with a `model-index`: every level that was judged with its interval, never marked as verified, since
nobody else has run it. What a person must still write (intended use, biases) is left to them by name; nothing is made
up.
"""

from __future__ import annotations

import io
import re
from typing import Any

from transfuse.fields import IMAGE, TEXT
from transfuse.folder import model_place
from transfuse.report.document import findings
from transfuse.report.numbers import better, bounds, spell
from transfuse.report.quantities import quantity
from transfuse.report.text import escape
from transfuse.report.view import View
from transfuse.report.words import ELSEWHERE, PROTOCOL, flag_title, form, listed
from transfuse.types import Undefined

CITATION = "Mitchell et al., Model cards for model reporting, FAccT 2019"
TRAITS = {"suffix": ".md"}
TYPES = {"log_loss": "log_loss", "brier": "brier_score", "ece": "expected_calibration_error"}
# What hubs call a task, by what is read and what is learned; of items of several parts they have no word.
TASKS = {
    (IMAGE, "multiclass"): "image-classification",
    (IMAGE, "multilabel"): "image-classification",
    (TEXT, "multiclass"): "text-classification",
    (TEXT, "multilabel"): "text-classification",
}
BEYOND = {
    "harm": "single classes and groups",
    "calibration": "confidence",
    "selective": "answering in part",
    "conditions": "spoilt inputs",
    "outside": "items of another kind",
    "retention": "what sources forget",
    "cost": "cost",
}
ON_HUB = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:[?@].*)?$")
OPEN = "*To be written by whoever ships this model: the evidence cannot tell.*"


def render(view: View) -> str:
    """The card as Markdown with YAML metadata."""
    title = f"{view.winner}: {form(view.recommendation.form, view.arm(view.winner))}"
    parts = [
        f"---\n{_metadata(view)}---",
        f"# {escape(title)}",
        escape(view.recommendation.why),
        "## Intended use",
        OPEN,
        "## Evaluation",
        *_evaluation(view),
        "### Beyond the deciding measure",
        *_beyond(view),
        "## Limits",
        *_limits(view),
        "## Training",
        *_training(view),
        "## Sources",
        *_sources(view),
        "## Use",
        _use(view),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _use(view: View) -> str:
    """How to open the model; predictions from elsewhere have none."""
    if view.arm(view.winner).get("method") == ELSEWHERE:
        return "The predictions of this model were judged; the model itself is not known here."
    return f"```python\nimport transfuse\n\nmodel = transfuse.load({str(model_place(view.winner))!r})\n```"


def _metadata(view: View) -> str:
    from ruamel.yaml import YAML

    yaml, out = YAML(), io.StringIO()
    yaml.default_flow_style = False
    licences = sorted({str(source.get("licence", "unknown")) for source in _used(view)})
    # A hub refuses a base that is no model of its own; all sources stand below, whatever they are.
    bases = [found[1] for source in _used(view) if (found := ON_HUB.match(str(source.get("spec"))))]
    yaml.dump(
        {
            "library_name": "transfuse",
            "license": licences[0] if len(licences) == 1 else "other",
            "tags": ["model-fusion", "transfer-learning", view.recommendation.form],
            **({"base_model": bases} if bases else {}),
            "model-index": [{"name": view.winner, "results": [_result(view)]}],
        },
        out,
    )
    return out.getvalue()


def _result(view: View) -> dict[str, Any]:
    task, data = view.setup.get("task") or {}, view.data
    metrics = []
    for name in dict.fromkeys((view.metric, *task.get("also", ()))):
        row = view.level(view.judged_as, name)
        if row is None or isinstance(row.value, Undefined):
            continue
        found: dict[str, Any] = {
            "type": TYPES.get(name, name),
            "name": quantity(name).title,
            "value": _figures(row.value),
        }
        if row.low is not None and row.high is not None:
            found["args"] = {"low": _figures(row.low), "high": _figures(row.high), "level": row.level, "items": row.n}
        metrics.append(found | {"verified": False})
    source = str(data.get("source") or "unknown")
    known = TASKS.get((str(data.get("field") or IMAGE), str(task.get("kind"))), "other")
    return {
        "task": {"type": "other" if view.protocol == ELSEWHERE else known},
        "dataset": {"name": source, "type": source, "split": "test", "revision": str(data.get("fingerprint", ""))[:16]},
        "metrics": metrics,
    }


def _figures(value: float) -> float:
    """Six significant figures: more would be noise in a card."""
    return float(f"{value:.6g}")


def _used(view: View) -> list[dict[str, Any]]:
    """The sources inside the recommended arm; all of them where its members are other arms."""
    members = {str(member).split("/")[-1] for member in view.arm(view.winner).get("members") or ()}
    sources = [dict(source) for source in view.setup.get("sources") or ()]
    return [source for source in sources if source.get("name") in members] or sources


def _evaluation(view: View) -> list[str]:
    lines = []
    for name in dict.fromkeys((view.metric, *((view.setup.get("task") or {}).get("also", ())))):
        row = view.level(view.judged_as, name)
        if row is not None:
            ends = bounds(row)
            interval = f"{ends[0]} to {ends[1]}" if ends else "no interval"
            what, value = f"{quantity(name).title} ({better(row.direction)})", spell(row, interval=False)
            lines.append(f"| {escape(what)} | {escape(value)} | {interval} |")
    table = ["| measure | value | 95 % interval |\n| --- | ---: | ---: |\n" + "\n".join(lines)] if lines else []
    claims = [f"- {escape(claim.sentence)}" for claim in view.claims if claim.sentence]
    return [escape(f"{view.summary}. {PROTOCOL.get(view.protocol, '')}"), *table, "\n".join(claims)]


def _beyond(view: View) -> list[str]:
    """What the report found on harm, confidence, spoilt and foreign inputs, forgetting and cost; what was not asked."""
    found = findings(view)
    told = [f"- **{escape(found[name].text)}**: {escape(found[name].finding)}" for name in BEYOND if name in found]
    absent = [words for name, words in BEYOND.items() if name not in found]
    missing = [f"- Not measured: {escape(listed(absent))}."] if absent else []
    return ["\n".join([*told, *missing])]


def _limits(view: View) -> list[str]:
    flags = []
    for flag in view.flags:
        title = flag_title(flag.flag, [view.rows[name] for name in view.known(flag.evidence)])
        flags.append(f"- **{escape(title)}**: {escape(flag.why)}")
    unmeasured = [f"{entry.get('what')} ({entry.get('why')})" for entry in view.not_measured]
    told = [f"- One data set, no claim beyond it: {escape(str(view.data.get('source') or 'unknown'))}."]
    told += [f"- Not measured: {escape('; '.join(unmeasured))}."] if unmeasured else []
    return ["\n".join([*flags, *told]), OPEN]


def _training(view: View) -> list[str]:
    arm = view.arm(view.winner)
    cost = arm.get("cost") or {}
    facts = {
        "method": arm.get("method"),
        "training": arm.get("train"),
        "training rows": view.data.get("train"),
        "rows for choices and calibration": view.data.get("selection"),
        "runs": len(view.setup.get("runs") or ()),
        "parameters": cost.get("parameters"),
        "operations per item": cost.get("inference_flops"),
        "operations for training": cost.get("train_flops"),
        "transfuse": view.setup.get("version"),
    }
    return [
        "\n".join(
            f"- {name}: {escape(f'{value:,}' if isinstance(value, int | float) else str(value))}"
            for name, value in facts.items()
            if value is not None
        )
    ]


def _sources(view: View) -> list[str]:
    used = _used(view)
    lines = []
    for source in used:
        name, spec, licence, seen = (escape(str(source.get(key))) for key in ("name", "spec", "licence", "seen"))
        digest = str(source.get("sha256") or "none")[:16]
        lines.append(f"- {name}: `{spec}`, licence {licence}, sha256 {digest}, rows seen in pretraining: {seen}")
    names = [str(source.get("name")) for source in used if source.get("licence") in (None, "unknown")]
    warning = f"The licence of {escape(listed(names))} is not known; look before you pass the model on."
    return ["\n".join(lines), *([warning] if names else [])]
