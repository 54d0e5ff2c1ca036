"""A run's evidence as a record, made up but consistent; without it a look at the report would need a long run."""

from __future__ import annotations

from typing import Any

ITEMS, RUNS = 1000, 5
# Per arm: (role, members, method, training, form, log-loss, accuracy, million parameters, million FLOP)
ARMS: dict[str, tuple[str, list[str], str, str, str, float, float, float, float]] = {
    "prior": ("baseline", [], "class frequencies", "", "single", 2.3026, 0.1, 0.0, 0.0),
    "as_is/vgg": ("baseline", ["vgg"], "as it comes", "none", "single", 1.912, 0.402, 0.117, 41.2),
    "frozen/lite0": ("baseline", ["lite0"], "head", "frozen", "single", 0.4521, 0.8411, 3.39, 150.2),
    "frozen/squeeze": ("baseline", ["squeeze"], "head", "frozen", "single", 0.5713, 0.7981, 0.736, 61.4),
    "ensemble": (
        "baseline",
        ["frozen/lite0", "frozen/squeeze"],
        "outputs/mean_prob",
        "none",
        "ensemble",
        0.4307,
        0.8524,
        4.13,
        211.6,
    ),
    "copies": ("control", ["lite0", "lite0"], "features/concat", "frozen", "fused", 0.4489, 0.8436, 6.78, 300.4),
    "random/lite0": (
        "control",
        ["lite0", "squeeze"],
        "features/concat",
        "frozen",
        "fused",
        0.5821,
        0.7922,
        4.15,
        211.7,
    ),
    "concat": ("candidate", ["lite0", "squeeze"], "features/concat", "frozen", "fused", 0.3984, 0.8642, 4.15, 211.7),
    "gate": ("candidate", ["lite0", "squeeze"], "features/gate", "frozen", "fused", 0.4102, 0.8595, 4.42, 213.0),
}


def row(arm: str, quantity: str, value: float | None, unit: str, direction: str, **more: Any) -> dict[str, Any]:
    """One evidence row; a value of None is undefined."""
    pair = f"{arm}-vs-{more['versus']}" if more.get("versus") else arm
    fields: dict[str, Any] = {
        "id": f"{quantity}:{pair}:test:clean{more.pop('tail', '')}",
        "arm": arm,
        "versus": None,
        "quantity": quantity,
        "split": "test",
        "condition": "clean",
        "unit": unit,
        "direction": direction,
        "low": None,
        "high": None,
        "level": None,
        "p": None,
        "adjusted": None,
        "family": None,
        "n": ITEMS,
        "seeds": RUNS,
        "pairing": "item, run" if more.get("versus") else "none",
        "method": "",
        "reproducible": True,
        "provenance": {},
    }
    half = more.pop("half", None)
    if value is not None and half is not None:
        fields |= {"low": value - half, "high": value + half, "level": 0.95, "method": "moments over runs and items"}
    kept = {"undefined": more.pop("reason", "no reason")} if value is None else {"value": value}
    return fields | kept | more


def levels() -> list[dict[str, Any]]:
    """The own values of every arm; the worst class of the unpretrained copy is undefined."""
    rows: list[dict[str, Any]] = []
    for arm, (_, _, _, _, _, loss, accuracy, parameters, flops) in ARMS.items():
        rows.append(row(arm, "log_loss", loss, "nats", "lower", half=0.031))
        rows.append(row(arm, "accuracy", accuracy, "share", "higher", half=0.0214))
        rows.append(row(arm, "brier", 0.9 * (1 - accuracy) + 0.08, "squared error", "lower", half=0.012))
        rows.append(
            row(
                arm,
                "ece",
                0.06 * (1 - accuracy) + 0.012,
                "share",
                "lower",
                method="no interval: fewer than 5 runs" if arm == "prior" else "",
            )
        )
        if arm == "prior":
            rows.append(
                row(
                    arm,
                    "worst_class",
                    None,
                    "share",
                    "higher",
                    reason="the prior answers one class only, so nine classes get none",
                )
            )
        else:
            rows.append(row(arm, "worst_class", accuracy - 0.21, "share", "higher", half=0.055))
        rows.append(row(arm, "parameters", parameters * 1e6, "count", "lower"))
        rows.append(row(arm, "inference_flops", flops * 1e6, "FLOP", "lower"))
        rows.append(row(arm, "train_flops", flops * 1e6 * 2000 * 3, "FLOP", "lower"))
    return rows


def branches() -> list[dict[str, Any]]:
    """How the two branches of the winner fare."""
    facts = {"branch_solo": (0.71, 0.66), "branch_without": (0.66, 0.71), "branch_gradient": (0.62, 0.38)}
    return [
        row("concat", name, value, "share", "higher", tail=f":{branch}", provenance={"branch": branch})
        for name, values in facts.items()
        for branch, value in zip(("lite0", "squeeze"), values, strict=True)
    ]


def paired(arm: str, versus: str) -> list[dict[str, Any]]:
    """Arm minus versus for log-loss and accuracy, the flips, and McNemar run by run."""
    one, other = ARMS[arm], ARMS[versus]
    gain, lost = one[6] - other[6], 0.038
    rows = [
        row(
            arm,
            "log_loss",
            one[5] - other[5],
            "nats",
            "lower",
            half=0.0176,
            versus=versus,
            provenance={"margin": 0.0226, "detectable_effect": 0.0252},
        ),
        row(
            arm,
            "accuracy",
            one[6] - other[6],
            "share",
            "higher",
            half=0.0211,
            versus=versus,
            provenance={"margin": 0.0079, "detectable_effect": 0.0301},
        ),
        row(arm, "positive_flips", lost + max(gain, 0.0), "share", "higher", versus=versus),
        row(arm, "negative_flips", lost + max(-gain, 0.0), "share", "lower", versus=versus),
    ]
    for run in range(RUNS):
        p = 0.0004 * 3**run
        rows.append(
            row(
                arm,
                "mcnemar_midp",
                p,
                "",
                "lower",
                versus=versus,
                seeds=1,
                tail=f":s{run}",
                provenance={"run": f"s{run}"},
            )
        )
    return rows


def claim(arm: str, versus: str, quantity: str, status: str, sentence: str) -> dict[str, Any]:
    """One claim on its paired row."""
    ids = [f"{quantity}:{arm}-vs-{versus}:test:clean"]
    return {
        "arm": arm,
        "versus": versus,
        "quantity": quantity,
        "status": status,
        "evidence": ids,
        "sentence": sentence,
    }


def claims() -> list[dict[str, Any]]:
    """Every status but `equivalent`, as a judge would word them."""
    beyond = "which is beyond the margin of 0.023 nats"
    return [
        claim(
            "concat",
            "frozen/lite0",
            "log_loss",
            "better",
            f"0.054 nats lower (95 % interval 0.036 to 0.071), {beyond}.",
        ),
        claim(
            "concat",
            "frozen/lite0",
            "accuracy",
            "not shown",
            "2.3 points higher (0.2 to 4.4), which excludes 0 but not the margin of 0.8 points; "
            "about 2,900 items would settle it.",
        ),
        claim(
            "concat",
            "ensemble",
            "log_loss",
            "not shown",
            "0.032 nats lower (0.015 to 0.050), which excludes 0 but not the margin; "
            "about 4,100 items or 9 runs would settle it.",
        ),
        claim("concat", "copies", "log_loss", "better", f"0.051 nats lower (0.033 to 0.068), {beyond}."),
        claim("concat", "random/lite0", "log_loss", "better", f"0.184 nats lower (0.166 to 0.201), {beyond}."),
        claim("random/lite0", "frozen/lite0", "log_loss", "worse", f"0.130 nats higher (0.112 to 0.148), {beyond}."),
    ]


def setup() -> dict[str, Any]:
    """What was asked."""
    sources = [
        {
            "name": "lite0",
            "spec": "timm:tf_efficientnet_lite0?checkpoint=../assets/lite0.safetensors",
            "parameters": 3_390_000,
            "licence": "Apache-2.0",
            "sha256": "5f" * 32,
            "random": False,
            "seen": "none",
            "taps": ["map", "vector", "logits"],
            "notes": ["224 px were shown at 96 px"],
        },
        {
            "name": "squeeze",
            "spec": "file:../assets/squeezenet.safetensors?arch=torchvision:squeezenet1_1",
            "parameters": 736_000,
            "licence": "BSD-3-Clause",
            "sha256": "a1" * 32,
            "random": False,
            "seen": "unknown",
            "taps": ["map", "logits"],
            "notes": [],
        },
    ]
    choices = [
        {
            "choice": "best_single",
            "chosen": "frozen/lite0",
            "run": "all",
            "scores": {"frozen/lite0": 0.4611, "frozen/squeeze": 0.5802},
        },
        {"choice": "winner", "chosen": "concat", "run": "all", "scores": {"concat": 0.4102, "gate": 0.4177}},
    ]
    return {
        "title": "Fashion-MNIST from two ImageNet models",
        "task": {
            "kind": "multiclass",
            "classes": [f"class {n}" for n in range(10)],
            "metric": "log_loss",
            "also": ["accuracy", "brier"],
        },
        "data": {
            "source": "fashion-mnist",
            "items": 13000,
            "classes": 10,
            "train": 2000,
            "selection": 500,
            "judged": ITEMS,
            "canvas": 96,
            "fingerprint": "0c9b" * 16,
            "notes": ["3 exact duplicates between training and test rows were dropped from training"],
        },
        "protocol": "locked",
        "runs": [f"s{n}" for n in range(RUNS)],
        "margin": {"rule": "auto", "value": 0.0226, "metric": "log_loss"},
        "sources": sources,
        "choices": choices,
        "threads": 1,
        "precision": "float32",
        "device": "cpu",
        "version": "0.1.0",
        "recipe": "sources:\n  a: timm:tf_efficientnet_lite0\n  b: torchvision:squeezenet1_1\ndata: fashion/\n",
        "command": "transfuse run recipes/fashion.yaml",
    }


def evidence() -> dict[str, Any]:
    """The whole record, as `evidence.json` holds it."""
    rows = levels() + branches()
    for arm, versus in [
        *(("concat", name) for name in ("frozen/lite0", "ensemble", "copies", "random/lite0")),
        ("random/lite0", "frozen/lite0"),
    ]:
        rows += paired(arm, versus)
    arms = [
        {
            "name": name,
            "role": facts[0],
            "members": facts[1],
            "method": facts[2],
            "train": facts[3],
            "form": facts[4],
            "seeds": RUNS,
            "cost": None,
        }
        for name, facts in ARMS.items()
    ]
    why = (
        "It has the lowest log-loss on the selection rows, nothing cheaper comes within the margin of it, "
        "and it is not shown worse on the judged rows."
    )
    flag = {
        "flag": "unseen_unknown",
        "why": "squeeze does not tell which rows it has seen.",
        "evidence": ["accuracy:concat:test:clean"],
    }
    return {
        "schema": "transfuse/evidence/1",
        "verdict": {
            "recommendation": {"arm": "concat", "form": "fused", "why": why},
            "claims": claims(),
            "flags": [flag],
        },
        "arms": arms,
        "evidence": rows,
        "ledger": {"fingerprint": "0c9b" * 16, "ordinal": 2},
        "setup": setup(),
        "not_measured": [
            {"what": "tuned arms", "why": "the ladder is quick"},
            {"what": "corruptions", "why": "not asked for"},
        ],
    }


def measurements() -> dict[str, Any]:
    """What rests on a clock, as `measurements.json` holds it."""
    rows = []
    for arm, facts in ARMS.items():
        if arm != "prior":
            flops = facts[8]
            rows.append(row(arm, "latency_p50_ms", flops * 0.043, "ms", "lower", reproducible=False))
            rows.append(row(arm, "latency_p95_ms", flops * 0.061, "ms", "lower", reproducible=False))
            rows.append(row(arm, "peak_memory_mb", 180 + flops * 0.4, "MB", "lower", reproducible=False))
            rows.append(row(arm, "wall_seconds", flops * 0.21, "s", "lower", reproducible=False))
    return {"schema": "transfuse/measurements/1", "measurements": rows}
