"""Metrics that a recipe points at; without it a function that cannot be imported would be found out at the very end."""

from __future__ import annotations

from pathlib import Path

from transfuse.evaluation.functions import OPTIONS
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.metric import metrics_from
from transfuse.given import code_digest, is_pointer, pointer
from transfuse.plan.recipe import Recipe


def own_metrics(recipe: Recipe, root: Path) -> dict[str, str]:
    """Digests of the files of users' own metrics, by name; each is imported once, so that errors come before work."""
    named = [name for name in recipe.metrics if is_pointer(name)]
    with metrics_from(root):
        for name in named:
            find_metric(name)
    return {name: code_digest(pointer(name, OPTIONS), root) for name in named}
