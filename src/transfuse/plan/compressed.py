"""Compressed arms: a method of `compress` on what another arm has fitted; without it size had no price.

`small: {compress: quantise, of: gate, bits: 8}` compresses the arm `gate` of the same run; `then: {train: full}` adds
the same network trained on afterwards, `small+tuned`. A compressed arm stands where its member does: of a candidate it
is a candidate, of a single a baseline. `of: tuned/lite0` has that arm fitted even where it is not the best single.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError, unknown_name
from transfuse.plan.abilities import check_abilities
from transfuse.plan.graph import Fitting, Ref, Step, Work
from transfuse.plan.tuned import FROZEN, TUNED, tuned_form
from transfuse.reads import RECIPIENT
from transfuse.registry import Entry, method, shelf

if TYPE_CHECKING:
    from transfuse.plan.arms import ArmSpec, Scene
    from transfuse.plan.build import Builder
    from transfuse.plan.setting import RunRows
    from transfuse.schedules import Schedule

SHELF, COMPRESS, RETRAIN = "compress", "compress", "retrain"
KINDS = (COMPRESS, RETRAIN)
WORDS = ("compress", "of", "then")
# So many training rows are shown to a method at most.
ROWS = 256
# On so many of them both forms are asked whether they answer alike.
CHECKED = 64


def check_fuses(how: Entry, where: str) -> None:
    """Refuse a method of this family where a method that fuses is asked for."""
    if how.shelf == SHELF:
        hint = f"{{compress: {how.name}, of: NAME}}"
        raise UserError(f"{how.full_name} compresses one arm, it fuses nothing", where=where, hint=hint)


def compression(name: str, where: str) -> Entry:
    """The method of that name; `compress/NAME` is the same."""
    known, short = shelf(SHELF), name.removeprefix(f"{SHELF}/")
    if short not in known:
        raise unknown_name("compression", name, known, where=where)
    return known[short]


def is_compressed(facts: Any) -> bool:
    """Whether a candidate's facts ask for a compression."""
    return isinstance(facts, Mapping) and "compress" in facts


def compressed(
    scene: Scene, name: str, facts: Mapping[str, Any], known: Mapping[str, ArmSpec], where: str
) -> dict[str, ArmSpec]:
    """The arms that a compressed candidate brings, in order: its member where nobody else has it, itself, and itself
    trained on.

    Raises UserError for methods and arms that nobody knows, pools, and trainings that the method does not allow.
    """
    if "fuse" in facts:
        raise UserError(
            "a candidate is fused or compressed, not both", where=where, hint="compress a fused one: of: NAME"
        )
    how = compression(str(facts["compress"]), where)
    settings = how.settings({key: value for key, value in facts.items() if key not in WORDS}, where=where)
    member, more = _member(scene, facts.get("of"), known, where)
    branches = (*member.members, *([RECIPIENT] if member.recipient else []))
    if settings.get("branch") and settings["branch"] not in branches:
        raise unknown_name("branch", settings["branch"], branches, where=where)
    if settings.get("spare") and (len(branches) < 2 or settings.get("branch")):
        raise UserError("`spare` chooses among the branches of a fusion", where=where, hint="spare: 0, or of: a fusion")
    arm = replace(
        member, name=name, kind=COMPRESS, method=how.full_name, settings=settings, of=member.name, reads=(),
        schedule=None, random=(), merge=None, recipient=False, start="", teachers=(), stream="", columns=(),
    )  # fmt: skip
    found = {**more, name: arm}
    if "then" in facts:
        plan = _then(scene, how, facts["then"], {**known, **found}, arm, f"{where}.then")
        again = replace(arm, name=f"{name}+tuned", kind=RETRAIN, schedule=plan, of=name)
        found[again.name] = check_abilities(again, scene.cards, where)
    return found


def _member(scene: Scene, given: Any, known: Mapping[str, ArmSpec], where: str) -> tuple[ArmSpec, dict[str, ArmSpec]]:
    """The arm that is compressed, and what must be added to the ladder for it."""
    if isinstance(given, list) and len(given) == 1:
        (given,) = given
    if not isinstance(given, str):
        raise UserError("`of` names the one arm that is compressed", where=where, expected="of: NAME", got=repr(given))
    of = f"{FROZEN}{given}" if given in scene.cards else given
    added = tuned_form(scene, of, known)
    every = {**known, **added}
    if of not in every or of == "prior":
        names = [each for each in (*known, *scene.cards) if each != "prior"]
        raise unknown_name("arm", of, [*names, *(f"{TUNED}{card}" for card in scene.cards)], where=f"{where}.of")
    if every[of].kind == "pool":
        raise UserError(
            f"'{of}' is a pool of predictions, not a network that could be compressed", where=f"{where}.of",
            hint="compress its members one by one and pool these",
        )  # fmt: skip
    return every[of], added


def _then(scene: Scene, how: Entry, then: Any, known: Mapping[str, ArmSpec], arm: ArmSpec, where: str) -> Schedule:
    """The training afterwards; of the whole network, or from some tap on."""
    if not how.traits.get("trains"):
        why = "training would fill its zeros" if how.name == "magnitude" else "its numbers have no gradient"
        raise UserError(f"what {how.full_name} makes cannot be trained on: {why}", where=where, hint="compress: prune")
    if origin(arm, known).kind != "train":
        raise UserError(
            f"'{arm.of}' answers with its own head, which is not trained here", where=where,
            hint="of: frozen/SOURCE or tuned/SOURCE has a head of its own",
        )  # fmt: skip
    if scene.recipe.protocol == "crossfit":
        raise crossfitted(where)
    own: dict[str, Any] = {"regime": then} if isinstance(then, str) else dict(then) if isinstance(then, Mapping) else {}
    own = {"regime": own.pop("train", own.pop("regime", "full")), **own}
    if own["regime"] not in ("full", "partial"):
        raise UserError(
            "what was compressed is trained in full, or from a tap on", where=where, expected="train: full, or partial",
            got=repr(own["regime"]),
        )  # fmt: skip
    if "teacher" in own or "stream" in own:
        raise UserError("a compressed arm is trained on labels alone", where=where)
    if own.get("refresh"):
        raise UserError("its joints were settled before it was compressed, so there is nothing to refresh", where=where)
    return scene.schedule(str(own["regime"]), own, where=where)


def crossfitted(where: str) -> UserError:
    """Why training on is refused there."""
    return UserError(
        "training on after compressing needs a locked split: under cross-fitting the network has seen every row that"
        " its length would be chosen on",
        where=where, hint="protocol: locked, with splits: {train: …, val: …, test: …}",
    )  # fmt: skip


def origin(arm: ArmSpec, known: Mapping[str, ArmSpec]) -> ArmSpec:
    """The arm that a chain of compressions began with."""
    while arm.kind in KINDS:
        arm = known[arm.of]
    return arm


def compressing(build: Builder, arm: ArmSpec, run: RunRows) -> Fitting:
    """What the step of a compressed arm is given beside items and rows."""
    inputs: dict[str, Ref] = {"member0": build.fit(build.arm(arm.of), run)}
    how = method(arm.method)
    if arm.schedule is None:
        params: dict[str, Any] = {"method": arm.method, "settings": dict(arm.settings), "most": ROWS}
        return Fitting(params, inputs, (how.digest,), _work(build, arm, how, run))
    if run.final_fit:
        raise crossfitted(f"'{arm.name}'")
    fits = arm.schedule.tries * arm.schedule.lasting(run.train_count).epochs
    work = Work(arm.members, forward=fits * run.held_count, backward=fits * run.train_count)
    params = {"schedule": arm.schedule.record(), "classes": list(build.setting.classes)}
    return Fitting(params, inputs, tuple(entry.digest for entry in arm.schedule.entries), work)


def _work(build: Builder, arm: ArmSpec, how: Entry, run: RunRows) -> Work:
    """What compressing takes beside a start: what the method states, the check of both forms, and the held rows, which
    under cross-fitting the member answers too."""
    cost, shown = how.compressing(arm.settings), min(ROWS, run.train_count)
    taps = sum(len(build.setting.cards[name].taps) for name in arm.members if name in build.setting.cards)
    asked = min(CHECKED, shown) * (1 + cost["pace"]) + run.held_count * (cost["pace"] + run.final_fit)
    return Work(
        arm.members,
        forward=round(cost["passes"] * shown + asked),
        backward=round(cost["backward"] * shown),
        seconds=cost["seconds"] + cost["tap_seconds"] * taps,
    )


def counting(build: Builder, arm: ArmSpec, run: RunRows | None) -> Step:
    """The step that tells what a compressed arm costs, once it is there: of a locked protocol the dearest run's."""
    setting = build.setting
    runs = setting.runs if setting.protocol == "locked" else (run or setting.runs[0],)
    inputs: dict[str, Ref] = {f"fit{index}": build.fit(arm, each) for index, each in enumerate(runs)}
    name = f"count {arm.name}" + ("" if setting.protocol == "locked" else setting.label(runs[0]))
    return Step(name, "count", {"kind": arm.kind}, inputs, arm=arm.name)
