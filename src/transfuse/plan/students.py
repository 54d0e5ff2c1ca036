"""Students: arms that learn from other arms' answers; without it no fusion could be had at the price of one model.

`train: {objective: distil, teacher: ARM}` makes a student; a list names several teachers. A teacher is the same run's:
its scores of the training rows come from a step of their own, so that nothing a student learns from has seen a row
that judges it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError, unknown_name
from transfuse.plan.exposures import Exposure
from transfuse.plan.graph import Given, Ref, Step, Work
from transfuse.reads import RECIPIENT
from transfuse.registry import Entry

if TYPE_CHECKING:
    from transfuse.plan.arms import ArmSpec
    from transfuse.plan.build import Builder, RunRows

SCORES, FEATURES = "teacher", "teacher_features"
UNTAUGHT = "untaught"
FUSE = "features/concat"


def is_taught(facts: Mapping[str, Any]) -> bool:
    """Whether a candidate's `train` names a teacher."""
    train = facts.get("train")
    return isinstance(train, Mapping) and "teacher" in train


def teachers_of(
    own: dict[str, Any], known: Mapping[str, ArmSpec], named: Iterable[str], how: Entry, where: str
) -> tuple[str, ...]:
    """Takes `teacher` out of a training's settings: one arm, or several.

    Raises UserError for arms that nobody knows, for those that stand later (so students never teach each other in a
    circle), for methods that train no network, and for `stream`, since unlabelled rows are not read yet.
    """
    if "teacher" not in own:
        return ()
    given = own.pop("teacher")
    found = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not found or len(set(map(str, found))) < len(found):
        raise UserError("`teacher` names an arm, or several, each once", where=where, got=repr(given))
    if how.shelf in ("fusion/outputs", "fusion/weights"):
        hint = "fuse: features/concat, or leave `fuse` out"
        raise UserError(f"{how.full_name} is no network that could be taught", where=where, hint=hint)
    if "stream" in own:
        raise UserError(
            "a student learns from the labelled training rows only; unlabelled rows cannot be read yet",
            where=where, got=f"stream: {own['stream']}", hint="leave `stream` out",
        )  # fmt: skip
    for name in found:
        if name in known and name != "prior":
            continue
        if name in named:
            raise UserError(
                f"the teacher '{name}' is this candidate or one that stands later",
                where=where, expected="a teacher that stands before its students", hint="circles teach nothing",
            )  # fmt: skip
        raise unknown_name("teacher", str(name), [each for each in known if each != "prior"], where=where)
    return found


def check_taught(entries: Iterable[Entry], taught: bool, where: str) -> None:
    """Objectives that need a teacher have one, and a teacher has an objective that listens."""
    needing = [entry for entry in entries if {SCORES, FEATURES} & set(entry.needs)]
    if needing and not taught:
        raise UserError(
            f"{needing[0].full_name} needs a teacher", where=where, hint="a candidate's train: teacher: ARM"
        )
    if taught and not needing:
        raise UserError("no objective of this training learns from a teacher", where=where, hint="objective: distil")


def student(arm: ArmSpec, teachers: tuple[str, ...], known: Mapping[str, ArmSpec], where: str) -> ArmSpec:
    """The same arm, taught; what it is taught must be there.

    Mixed inputs are refused: teachers answer the rows as they are. Features are those of frozen networks.
    """
    assert arm.schedule is not None  # noqa: S101 - for the type checker; only networks are taught
    if arm.schedule.augment:
        raise UserError(
            "teachers answered the rows as they are, so what a student sees is not mixed", where=where,
            got="augment: " + ", ".join(name for name, _ in arm.schedule.augment), hint="leave `augment` out",
        )  # fmt: skip
    if any(FEATURES in entry.needs for entry in arm.schedule.entries):
        for name in teachers:
            teacher = known[name]
            if teacher.kind != "train" or teacher.regime != "frozen" or not _blocks(teacher):
                raise UserError(
                    f"the teacher '{name}' keeps no features", where=where,
                    expected="a network on frozen sources, as frozen/SOURCE", hint="objective: distil takes any arm",
                )  # fmt: skip
    return replace(arm, form="student", teachers=teachers)


def untaught(arms: Iterable[ArmSpec]) -> list[ArmSpec]:
    """Beside each student the same network on the same schedule with labels alone."""
    return [
        replace(arm, name=f"{arm.name}/{UNTAUGHT}", role="control", teachers=(), schedule=_labels(arm),
                form="single" if len(arm.members) == 1 else "fused")
        for arm in arms if arm.teachers
    ]  # fmt: skip


def _labels(arm: ArmSpec) -> Any:
    assert arm.schedule is not None  # noqa: S101 - as above
    named = zip(arm.schedule.objective, arm.schedule.entries, strict=False)
    left = [(one, entry) for one, entry in named if not {SCORES, FEATURES} & set(entry.needs)]
    whole = any(entry.traits.get("complete") for _, entry in left)
    kept = tuple(one for one, _ in left)
    return replace(arm.schedule, objective=kept if whole else (("supervised", {}), *kept))


def taught(build: Builder, arm: ArmSpec, run: RunRows) -> dict[str, Ref]:
    """What the fit of a student is given: by `teacherK` scores, by `featuresK_I|BLOCK` features of the K-th teacher."""
    found: dict[str, Ref] = {}
    needs = {need for entry in (arm.schedule.entries if arm.schedule else ()) for need in entry.needs}
    for number, name in enumerate(arm.teachers):
        teacher = build.arm(name)
        if SCORES in needs:
            found[f"teacher{number}"] = answers(build, teacher, run)
        if FEATURES in needs:
            for index, read in enumerate(_blocks(teacher)):
                for block in run.blocks:
                    role = f"features{number}_{index}|{block.name}"
                    found[role] = build.extract(teacher, read, block, judged=False, run=run)
    return found


def answers(build: Builder, arm: ArmSpec, run: RunRows) -> str:
    """The step that gives a fitted arm's scores of this run's own training rows; no judged row is opened."""
    fit = build.fit(arm, run)
    step = build.steps[fit]
    inputs: dict[str, Ref] = {"items": Given(build.setting.items_key), "rows": Given(run.key), "fit": fit}
    inputs |= {
        role: ref for role, ref in step.inputs.items() if role.startswith(("card", "match", "merged", RECIPIENT))
    }
    work = Work()
    if arm.kind == "pool":
        inputs |= {f"member{index}": answers(build, build.arm(name), run) for index, name in enumerate(arm.members)}
    elif arm.kind == "as_is" or (arm.kind == "train" and arm.regime == "frozen"):
        unjudged = Exposure(block=run.blocks[0])
        inputs |= build.features(arm, run.blocks, run, judged=True, exposure=unjudged)
    elif arm.kind == "train":
        work = Work(arm.members, forward=run.train_count)
    params = {**step.params, "kind": arm.kind}
    name = f"teach {arm.name} {run.name}"
    return build.add(Step(name, "teach", params, inputs, digests=step.digests, arm=arm.name, work=work))


def _blocks(arm: ArmSpec) -> list[Any]:
    return [read for read in arm.reads if read.use == "block" and not read.of_canvas and read.member != RECIPIENT]
