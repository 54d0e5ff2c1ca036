"""The record of a case with everything filled, through the real judge: made once, handed out as copies."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

from evaluation.full_case import full_case
from transfuse.evaluation.verdict import judge, record
from transfuse.jsonio import pretty


@functools.cache
def _made(runs: int) -> dict[str, Any]:
    judgement = judge(full_case(runs, 120))
    setup = {
        "title": "Everything that can be asked",
        "protocol": "locked",
        "task": {"kind": "multiclass", "metric": "log_loss", "also": ["accuracy"]},
        "margin": {"rule": "auto", "value": judgement.margin, "metric": "log_loss"},
        "data": {"judged": 120, "source": "made up", "classes": 4},
        "choices": [{"choice": "best_single", "run": "all", "chosen": "frozen/a", "scores": {}}],
    }
    return json.loads(pretty(record(judgement, judgement.arms, {"ordinal": 1}, setup)))


def full_record(runs: int = 3) -> dict[str, Any]:
    """`evidence.json` of `full_case`."""
    return copy.deepcopy(_made(runs))
