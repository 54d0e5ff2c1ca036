"""Students: arms that learn from other arms' answers, or from items without labels; without it no fusion could be had
at the price of one model.

`train: {objective: distil, teacher: ARM}` makes a student; a list names several teachers. A teacher is the same run's:
its scores of the training rows come from a step of their own, so that nothing a student learns from has seen a row
that judges it. `stream: pool` lets it hear them about a further set of items too, whose labels nobody reads; some
objectives hear such items without a teacher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transfuse.data.extra import pool_names
from transfuse.errors import UserError, unknown_name
from transfuse.plan.exposures import Exposure
from transfuse.plan.graph import Given, Ref, Step, Work
from transfuse.reads import RECIPIENT
from transfuse.registry import Entry

if TYPE_CHECKING:
    from transfuse.plan.arms import ArmSpec
    from transfuse.plan.build import Builder
    from transfuse.plan.setting import RunRows
    from transfuse.schedules import Schedule

SCORES, FEATURES, POOL = "teacher", "teacher_features", "pool"
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
    circle), and for methods that train no network.
    """
    if "teacher" not in own:
        return ()
    given = own.pop("teacher")
    found = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not found or len(set(map(str, found))) < len(found):
        raise UserError("`teacher` names an arm, or several, each once", where=where, got=repr(given))
    _check_network(how, where)
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


def stream_of(own: dict[str, Any], data: Any, how: Entry, where: str) -> str:
    """Takes `stream` out of a training's settings: the name of a pool in `data.extra`, or nothing."""
    if "stream" not in own:
        return ""
    _check_network(how, where)
    given, known = str(own.pop("stream")), pool_names(data)
    if given not in known:
        found = unknown_name("pool of items", given, known, where=f"{where}.stream")
        hint = found.hint or "data: {…, extra: {pool: {take: rest}}} names one"
        raise UserError(found.what, where=found.where, expected=found.expected, hint=hint)
    return given


def _check_network(how: Entry, where: str) -> None:
    if how.shelf in ("fusion/outputs", "fusion/weights"):
        hint = "fuse: features/concat, or leave `fuse` out"
        raise UserError(f"{how.full_name} is no network that could be taught", where=where, hint=hint)


def check_heard(entries: Iterable[Entry], taught: bool, streamed: bool, where: str) -> None:
    """Objectives that need a teacher have one, those that need a pool of items too; and whoever is named is heard."""
    needing = [entry for entry in entries if {SCORES, FEATURES} & set(entry.needs)]
    hearing = [entry for entry in entries if POOL in entry.needs]
    if needing and not taught:
        raise UserError(
            f"{needing[0].full_name} needs a teacher", where=where, hint="a candidate's train: teacher: ARM"
        )
    if taught and not (needing or any(_hears_scores(entry) for entry in entries)):
        raise UserError("no objective of this training learns from a teacher", where=where, hint="objective: distil")
    if hearing and not streamed:
        raise UserError(
            f"{hearing[0].full_name} needs items without labels", where=where,
            hint="a candidate's train: stream: pool, with data: {…, extra: {pool: {take: rest}}}",
        )  # fmt: skip
    hearing += [entry for entry in needing if SCORES in entry.needs and not entry.traits.get("labelled")]
    if streamed and not hearing:
        raise UserError(
            "no objective of this training hears rows without labels", where=where,
            hint="objective: coral, mmd, dann, shot or pseudo_labels, or with a teacher distil",
        )  # fmt: skip


def _hears_scores(entry: Entry) -> bool:
    """Whether an objective must or may have teachers that say how likely each class is."""
    return SCORES in entry.needs or bool(entry.traits.get("teachable"))


def student(arm: ArmSpec, teachers: tuple[str, ...], known: Mapping[str, ArmSpec], classes: int, where: str) -> ArmSpec:
    """The same arm, taught; what it is taught must be there.

    Mixed inputs are refused: teachers answer the rows as they are. Features are those of frozen networks. Who knows
    some of the classes only is heard by objectives that ask for it.
    """
    assert arm.schedule is not None  # noqa: S101 - for the type checker; only networks are taught
    if arm.schedule.augment:
        raise UserError(
            "teachers answered the rows as they are, so what a student sees is not mixed", where=where,
            got="augment: " + ", ".join(name for name, _ in arm.schedule.augment), hint="leave `augment` out",
        )  # fmt: skip
    _check_heard(arm.schedule, [known[name] for name in teachers], arm.stream, classes, where)
    if any(FEATURES in entry.needs for entry in arm.schedule.entries):
        for name in teachers:
            teacher = known[name]
            if teacher.kind != "train" or teacher.regime != "frozen" or not _blocks(teacher):
                raise UserError(
                    f"the teacher '{name}' keeps no features", where=where,
                    expected="a network on frozen sources, as frozen/SOURCE", hint="objective: distil takes any arm",
                )  # fmt: skip
    return replace(arm, form="student", teachers=teachers)


def _check_heard(plan: Schedule, teachers: Sequence[ArmSpec], stream: str, classes: int, where: str) -> None:
    """An objective must be able to hear the pool, and what its teachers do not know."""
    listening = [(entry, dict(settings)) for entry, (_, settings) in zip(plan.entries, plan.objective, strict=False)]
    listening = [(entry, settings) for entry, settings in listening if _hears_scores(entry)]
    if stream and any(settings.get("teachers") == "confidence" for _, settings in listening):
        raise UserError(
            "teachers are weighed by confidence on labelled rows only", where=where, got=f"stream: {stream}",
            hint="teachers: mean",
        )  # fmt: skip
    some = [arm.name for arm in teachers if knows_some(arm, classes)]
    deaf = [entry.full_name for entry, _ in listening if not entry.traits.get("partial")]
    if some and deaf:
        raise UserError(
            f"{deaf[0]} hears teachers that know every class", where=where, got=f"{', '.join(some)} know some only",
            hint="objective: amalgamate",
        )  # fmt: skip


def knows_some(arm: ArmSpec, classes: int) -> bool:
    """Whether an arm answers for some of the classes only."""
    return bool(arm.columns) and len({*arm.columns} - {-1}) < classes


def untaught(arms: Iterable[ArmSpec]) -> list[ArmSpec]:
    """Beside each who learns from more than labelled rows as they are, the same network on the same schedule with these
    alone."""
    return [
        replace(arm, name=f"{arm.name}/{UNTAUGHT}", role="control", teachers=(), stream="", schedule=_labels(arm),
                form="single" if len(arm.members) == 1 else "fused")
        for arm in arms if arm.enriched
    ]  # fmt: skip


def _labels(arm: ArmSpec) -> Any:
    assert arm.schedule is not None  # noqa: S101 - as above
    named = zip(arm.schedule.objective, arm.schedule.entries, strict=False)
    left = [(one, entry) for one, entry in named if not {SCORES, FEATURES, POOL} & set(entry.needs)]
    whole = any(entry.traits.get("complete") for _, entry in left)
    kept = tuple(one for one, _ in left)
    return replace(arm.schedule, objective=kept if whole else (("supervised", {}), *kept), augment=())


def taught(build: Builder, arm: ArmSpec, run: RunRows) -> dict[str, Ref]:
    """What the fit of a student is given: by `teacherK` scores, by `featuresK_I|BLOCK` features of the K-th teacher."""
    found: dict[str, Ref] = {}
    entries = arm.schedule.entries if arm.schedule else []
    scores, features = any(map(_hears_scores, entries)), any(FEATURES in entry.needs for entry in entries)
    for number, name in enumerate(arm.teachers):
        teacher = build.arm(name)
        if scores:
            found[f"teacher{number}"] = answers(build, teacher, run)
        if features:
            for index, read in enumerate(_blocks(teacher)):
                for block in run.blocks:
                    role = f"features{number}_{index}|{block.name}"
                    found[role] = build.extract(teacher, read, block, judged=False, run=run)
    return found


def streamed(build: Builder, arm: ArmSpec, run: RunRows) -> dict[str, Ref]:
    """What the fit of a student is given of its pool: items, rows, teachers' answers, and blocks where it is frozen."""
    if not arm.stream:
        return {}
    pool = build.setting.pools[arm.stream]
    assert pool.items_key is not None  # noqa: S101 - for the type checker; pools are items of their own
    found: dict[str, Ref] = {f"{POOL}|items": Given(pool.items_key), f"{POOL}|rows": Given(pool.rows[run.name].key)}
    for number, name in enumerate(arm.teachers):
        found[f"{POOL}|teacher{number}"] = build.predict(build.arm(name), run, exposure=pool)
    if arm.regime == "frozen":
        blocks = build.features(arm, pool.blocks(run), run, judged=True, exposure=pool)
        found |= {f"{POOL}|{role}": ref for role, ref in blocks.items()}
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
        unjudged = Exposure(covers=run.blocks)
        inputs |= build.features(arm, run.blocks, run, judged=True, exposure=unjudged)
    elif arm.kind in ("train", "compress", "retrain"):
        work = Work(arm.members, forward=run.train_count)
    params = {**step.params, "kind": arm.kind}
    name = f"teach {arm.name} {run.name}"
    return build.add(Step(name, "teach", params, inputs, digests=step.digests, arm=arm.name, work=work))


def _blocks(arm: ArmSpec) -> list[Any]:
    return [read for read in arm.reads if read.use == "block" and not read.of_canvas and read.member != RECIPIENT]
