"""A plan in words, and a first recipe for somebody's data: what to expect before anything is computed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transfuse.events import silent
from transfuse.fields import joint_field
from transfuse.figures import plural
from transfuse.kinds import kind_of
from transfuse.plan.fields import canvas_in_words
from transfuse.plan.graph import Plan
from transfuse.plan.recipe import Recipe, validated
from transfuse.registry import find
from transfuse.run.engine import Walk
from transfuse.run.forecast import expected, probe
from transfuse.run.prepare import Prepared, prepare
from transfuse.run.run import place_of, store_of
from transfuse.run.searched import search_of, searched, wanted
from transfuse.source.spec import SHELF, local, parse

SEARCH = "  candidates: a search comes first; the {} best of what it looks at are trained and join this plan"


def describe(recipe: Recipe, root: Path) -> str:
    """Data, arms, choices, steps by kind with what is cached, and CPU seconds by a probe of this machine."""
    store = store_of(recipe, root)
    prepared = prepare(recipe, root=root, store=store)
    forecast = probe(prepared, place_of(prepared, store), silent, {})
    waiting = False
    if wanted(prepared):
        found = searched(prepared, search_of(prepared, lambda: forecast.keys), store, None)
        prepared, waiting = found or prepared, found is None
    plan = prepared.plan
    walk = Walk(plan, store)
    walk.ready(plan.targets)
    ahead = expected(plan, forecast.seconds, walk.done)
    kinds = Counter(plan.steps[name].kind for name in ahead)
    lines = [
        *_head(prepared),
        *([SEARCH.format(recipe.search.finalists)] if waiting else []),
        "",
        "steps to compute (of what follows a choice, the dearest option)",
    ]
    for kind, count in sorted(kinds.items()):
        seconds = sum(cost for name, cost in ahead.items() if plan.steps[name].kind == kind)
        lines.append(f"  {kind:<10} {count:>5}   about {seconds:>7.0f} CPU seconds")
    lines.append(f"  in the store already: {len(walk.done)}")
    lines.append(f"  together about {sum(ahead.values()):.0f} CPU seconds")
    lines += ["", "choices, all on selection rows", *_choices(plan)]
    lines += ["", "not measured", *(f"  {what}: {why}" for what, why in plan.not_measured)]
    return "\n".join(lines)


def _head(prepared: Prepared) -> list[str]:
    items, parts = prepared.items, prepared.partition
    first = parts.runs[0]
    arms = [*prepared.ladder.arms().values()]
    field = joint_field(prepared.cards.values())
    side, per_fold = prepared.setting.canvas, "" if parts.protocol == "locked" else " in each fold"
    lines = [
        f"data: {len(items):,} items, {plural(len(items.classes), kind_of(items.kind).column)}, "
        f"canvas {canvas_in_words(field, side)}",
        f"protocol: {parts.protocol}, runs {', '.join(run.name for run in parts.runs)}; "
        f"{len(first.train):,} rows train, {len(first.judge):,} judge{per_fold}",
        *(f"note: {note}" for note in (*parts.notes, *prepared.hints)),
        *(f"warning: {leak}" for leak in prepared.setting.leaks),
        "sources",
        *(f"  {name}: {card.spec}, {card.parameters:,} parameters" for name, card in prepared.cards.items()),
        "arms",
        *(f"  {arm.name:<24} {arm.role:<10} {arm.method or arm.kind:<20} {arm.regime}" for arm in arms),
    ]
    follow = [*prepared.ladder.tuned_singles.values(), *prepared.ladder.tuned_fusions.values()]
    if follow:
        lines.append("  one of these, when its frozen form is chosen: " + ", ".join(arm.name for arm in follow))
    if prepared.ladder.followers:
        names = ", ".join(follower.name for follower in prepared.ladder.followers)
        lines.append(f"  controls that follow the chosen fusion: {names}")
    if prepared.setting.exposures:
        asked = ", ".join(exposure.name for exposure in prepared.setting.exposures)
        lines.append(f"  the winner, the best single and the ensemble also answer: {asked}")
    return lines


def _choices(plan: Plan) -> list[str]:
    steps = [step for step in plan.steps.values() if step.kind == "choose"]
    return [
        f"  {step.name}: {len({role.split('|')[1] for role in step.inputs if role.startswith('fit|')})} arms ready"
        for step in steps
    ]


def written_recipe(data: str, sources: Sequence[str], root: Path, out: Path) -> tuple[str, str]:
    """A recipe's text with comments, and a summary of what was found; both are checked first."""
    recipe = validated({"sources": [*sources], "data": data}, where="init")
    prepared = prepare(recipe, root=root, store=store_of(recipe, root))
    counts = Counter(label for label in prepared.items.labels if label is not None)
    least = min(counts.items(), key=lambda pair: pair[1])
    parts = prepared.partition
    summary = (
        f"{len(prepared.items):,} items in {len(counts)} classes (fewest: {least[0]}, {least[1]}); "
        f"protocol {parts.protocol}; canvas {prepared.setting.canvas}"
    )
    shown = _relative(data, root, out)
    lines = [
        f"# {summary}",
        "sources:",
        *(f"  {name}: {_quoted(relocated(entry.spec, root, out))}" for name, entry in recipe.sources.items()),
        f"data: {_quoted(shown)}",
        "ladder: quick            # quick | standard (also tuned and from scratch) | full",
        "candidates: [features/concat, features/gate]   # or auto: search; see `transfuse methods`",
        "seeds: 5",
        "# budget: {train: 20 min}",
        "# run: {workers: 2}",
    ]
    return "\n".join(lines) + "\n", summary


def _relative(data: Any, root: Path, out: Path) -> str:
    """The data's path as seen from the recipe's folder."""
    scheme, colon, rest = data.partition(":")
    path = Path(rest if colon else data)
    if scheme == "sklearn" or path.is_absolute() or not (root / path).exists():
        return data
    seen = os.path.relpath(root / path, (root / out).parent)
    return f"{scheme}:{seen}" if colon else seen + ("/" if (root / path).is_dir() else "")


def relocated(text: str, root: Path, out: Path) -> str:
    """A source's spec with its paths as seen from the folder of the recipe `out`; absolute ones stay."""
    spec, folder = parse(text), (root / out).parent.resolve()
    used = [path.resolve() for path in find(SHELF, spec.scheme).load().files(spec, root)]
    named = {f"{spec.scheme}:": spec.target} | {f"{name}=": value for name, value in spec.options.items()}
    for before, value in named.items():
        path = local(root, value).resolve()
        inside = any(path in (each, *each.parents) for each in used)
        if inside and not Path(value).expanduser().is_absolute():
            text = text.replace(before + value, before + os.path.relpath(path, folder), 1)
    return text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
