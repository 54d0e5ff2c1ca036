"""Merges of weights as a recipe asks for them: without this, what a merge needs would be spread over the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError, unknown_name
from transfuse.jsonio import digest
from transfuse.plan.graph import Given, Ref, Step, Work
from transfuse.registry import Entry, method, shelf

if TYPE_CHECKING:
    from transfuse.plan.arms import ArmSpec
    from transfuse.plan.build import Builder
    from transfuse.plan.setting import RunRows

# What a candidate may say of its merge beside the method's own settings.
KEYS = ("base", "align", "weights", "repair", "statistics", "counters", "tries", "path")
# Short words for the choosers of coefficients.
CHOOSERS = {"greedy": "greedy_soup", "path": "wise_path", "search": "search", "adamerging": "adamerging"}
REPAIRS = ("auto", "none", "full")
TRIES = 20
# Rows go through the network at 25 points, with two sets of statistics, which one of them is estimated for.
WALK = 76


def merge_of(
    how: Entry, settings: Mapping[str, Any], facts: Mapping[str, Any], known: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The record of a merge: method, settings, weights (numbers or a chooser), base, align, repair, buffers' policies,
    and whether the straight way between two sources is walked.

    `known` are the sources by name. Raises UserError for words that nobody knows and for a base that is missing.
    """
    base, align = facts.get("base"), facts.get("align", "none")
    if base is not None and base not in known:
        raise unknown_name("source", str(base), known, where=f"{where}.base")
    if base is None and how.traits.get("needs_base"):
        raise UserError(
            f"{how.full_name} needs a base", where=where, hint="base: NAME, the source all others started from"
        )
    if align != "none" and align not in shelf("fusion/align"):
        raise unknown_name("way of aligning", str(align), ["none", *shelf("fusion/align")], where=f"{where}.align")
    if small := [name for name in facts.get("of", ()) if known[name].compressed]:
        raise UserError("sources are merged as their files are, not compressed", where=where, got=", ".join(small))
    repair = facts.get("repair", "auto")
    if repair not in REPAIRS:
        raise unknown_name("repair", str(repair), REPAIRS, where=f"{where}.repair")
    weights, chooser = _weights(facts.get("weights"), f"{where}.weights")
    if weights == "adamerging" and how.needs:
        raise UserError(
            f"{how.full_name} needs statistics of its members, so its weights cannot be learned",
            where=f"{where}.weights",
        )
    tries = facts.get("tries", TRIES)
    if not isinstance(tries, int) or isinstance(tries, bool) or not 1 <= tries <= 10_000:
        raise UserError(
            "`tries` is how many merges a chooser may try", where=where, expected="1 to 10000", got=repr(tries)
        )
    path = facts.get("path", False)
    if not isinstance(path, bool):
        raise UserError("`path` is yes or no", where=where, expected="true or false", got=repr(path))
    if path and len(facts.get("of", ())) != 2:
        raise UserError("the straight way leads from one source to another", where=f"{where}.path", expected="of: two")
    made = {"method": how.full_name, "settings": dict(settings), "weights": weights, "base": base, "align": align}
    policies = {"statistics": facts.get("statistics", "mean"), "counters": facts.get("counters", "largest")}
    # Only where it is asked for, so that other merges keep their keys.
    asked = ({"path": True} if path else {}) | ({"chooser": chooser} if chooser else {})
    return made | policies | {"repair": repair, "tries": tries} | asked


def _weights(given: Any, where: str) -> tuple[Any, dict[str, Any]]:
    """Weights as a recipe says them: numbers, a chooser's name, or {by: NAME, ...} with the chooser's settings."""
    name, settings = given, {}
    if isinstance(given, Mapping):
        name = given.get("by")
        settings = {str(key): value for key, value in given.items() if key != "by"}
    elif not isinstance(given, str):
        return given, {}
    if name not in CHOOSERS:
        raise unknown_name("way of choosing weights", str(name), CHOOSERS, where=where)
    entry = shelf("choosers")[CHOOSERS[str(name)]]
    entry.settings(settings, where=where)
    return entry.name, settings


def merge_files(merge: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The digests of the files that a merge runs: its method, and the lens, statistics and chooser it uses."""
    if merge is None:
        return ()
    how = method(merge["method"])
    entries = [how, *(shelf("fusion/statistics")[need] for need in how.needs)]
    if merge.get("align", "none") != "none":
        lens = shelf("fusion/align")[merge["align"]]
        entries += [lens, *(shelf("fusion/statistics")[need] for need in lens.needs)]
    if isinstance(merge["weights"], str):
        entries.append(shelf("choosers")[merge["weights"]])
    return tuple(entry.digest for entry in entries)


def merge_step(build: Builder, arm: ArmSpec, run: RunRows) -> str:
    """One source whose weights are merged from all: once for all seeds, or anew in each fold, since statistics and
    choices must not rest on rows that the fold judges."""
    assert arm.merge is not None  # noqa: S101 - for the type checker; arms without a merge have no such step
    setting = build.setting
    scope = setting.runs[0] if setting.protocol == "locked" else run
    cards = {f"card{index}": setting.card_keys[member] for index, member in enumerate(arm.members)}
    if base := arm.merge.get("base"):
        cards["base"] = setting.card_keys[base]
    inputs: dict[str, Ref] = {role: Given(key) for role, key in cards.items()}
    inputs |= {"items": Given(setting.items_key), "rows": Given(scope.key)}
    # The base enters by its card, never by its name.
    record = {key: value for key, value in arm.merge.items() if key != "base"}
    params = {**build.common, "seed": 0, "merge": record, "classes": list(setting.classes)}
    name = f"merge {'+'.join(arm.members)} {digest([params, sorted(cards.items())])[:8]} {scope.name}"
    work = Work(arm.members, forward=min(scope.train_count, 256) * (WALK if arm.merge.get("path") else 1))
    return build.add(Step(name, "merge", params, inputs, digests=merge_files(arm.merge), arm=arm.name, work=work))
