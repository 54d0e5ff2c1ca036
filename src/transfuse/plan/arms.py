"""Arms as the plan sees them, and how a recipe's candidates become arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transfuse.errors import UserError, unknown_name
from transfuse.fields import check_works_on, joint_field
from transfuse.plan.abilities import check_abilities
from transfuse.plan.compressed import check_fuses, compressed, is_compressed
from transfuse.plan.heads import merged_columns, unanswered
from transfuse.plan.merges import merge_of
from transfuse.plan.recipe import Recipe
from transfuse.plan.students import FUSE, check_heard, is_taught, stream_of, student, teachers_of
from transfuse.plan.task import check_kind
from transfuse.plan.tuned import tuned_members
from transfuse.plan.words import check_words, settings_of
from transfuse.reads import RECIPIENT, Read, divides, reads_of
from transfuse.registry import Entry, method
from transfuse.schedules import DEFAULTS, REGIMES, Schedule, schedule, searched
from transfuse.types import Card, Form, Role

# A network that learns from its first layer on is trained like one, though its sources stay frozen.
GROWN = {"epochs": 10, "batch": 32, "rates": [3e-3], "weight_decay": 0.05, "patience": 3, "least_steps": 1}


@dataclass(frozen=True)
class ArmSpec:
    """One arm: `kind` says which step fits it (prior, as_is, train for a network, pool for predictions of `members`).

    `reads` and `random` (members that are re-initialised) belong to networks; `merge` says that the members' weights
    are merged into one source before it is read. `match` names what of the winner the arm is brought up to before it is
    trained: `flops` (of training) or `parameters`. With `recipient` the members are connected into the user's network,
    which starts with what it shares with the member `start` by name and shape. `teachers` are the arms that a
    student learns from, `stream` a further set of items that it hears of, from them or alone. `columns` says which
    class each column of an own head stands for, where not all of the target's classes are found by name. `of` is the
    arm that a compressed one (compress, retrain) is made of; its `members` are that arm's.
    """

    name: str
    role: Role
    form: Form
    kind: str
    members: tuple[str, ...]
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[Read, ...] = ()
    schedule: Schedule | None = None
    random: tuple[str, ...] = ()
    merge: Mapping[str, Any] | None = None
    match: str = ""
    recipient: bool = False
    start: str = ""
    teachers: tuple[str, ...] = ()
    stream: str = ""
    columns: tuple[int, ...] = ()
    of: str = ""

    @property
    def regime(self) -> str:
        return "none" if self.schedule is None else self.schedule.regime

    @property
    def hears(self) -> bool:
        """Whether more than sources and labelled rows goes into it: other arms' answers, or items without labels."""
        return bool(self.teachers or self.stream)

    @property
    def enriched(self) -> bool:
        """Whether it learns from more than labelled rows as they are: it hears, or rows are mixed or drawn anew."""
        return self.hears or (self.schedule is not None and bool(self.schedule.augment))


@dataclass(frozen=True)
class Scene:
    """What arms are made from: the recipe, the sources' cards, the recipient's card, and the target's classes."""

    recipe: Recipe
    cards: Mapping[str, Card]
    own: Card | None = None
    classes: Sequence[str] = ()

    @property
    def named(self) -> list[str]:
        """The names of the recipe's candidates."""
        given = self.recipe.candidates
        return [*given] if isinstance(given, dict) else []

    @property
    def taps(self) -> dict[str, list[str]]:
        return {name: entry.taps for name, entry in self.recipe.entries.items() if entry.taps}

    def schedule(
        self,
        regime: str,
        own: Mapping[str, Any] | None = None,
        *,
        where: str = "recipe, train",
        taught: bool = False,
        streamed: bool = False,
    ) -> Schedule:
        """A regime's schedule: defaults, then the recipe's `train: REGIME`, then the arm's own settings.

        `scratch` is `full` with one learning rate everywhere, since nothing in it is pretrained.
        """
        for name in self.recipe.train:
            if name not in REGIMES:
                raise unknown_name("regime", name, REGIMES, where="recipe, train")
        base = "full" if regime == "scratch" else regime
        made = schedule({"regime": base, **self.recipe.train.get(base, {}), **(own or {})}, where=where)
        check_heard(made.entries, taught, streamed, where)
        for entry in made.entries:
            check_kind(entry, self.recipe.task.kind, where)
        made = replace(made, member_rate=DEFAULTS["scratch"].member_rate) if regime == "scratch" else made
        return searched(made, self.recipe.search.trials, self.recipe.search.space)


def single(scene: Scene, name: str, source: str, plan: Schedule) -> ArmSpec:
    """A linear head on one source: concatenation of one."""
    entry = method("features/concat")
    own = {source: scene.taps[source]} if source in scene.taps else {}
    reads = tuple(reads_of(entry, {source: scene.cards[source]}, own))
    return ArmSpec(name, "baseline", "single", "train", (source,), entry.full_name, entry.settings({}), reads, plan)


def pool(name: str, full_name: str, members: Sequence[str], settings: Mapping[str, Any], role: Role) -> ArmSpec:
    """Predictions of other arms, pooled by an outputs method; one that stops early makes a cascade."""
    how = method(full_name)
    form: Form = "cascade" if how.traits.get("stops_early") else "ensemble"
    return ArmSpec(name, role, form, "pool", tuple(members), full_name, how.settings(settings))


def candidates(scene: Scene, known: Mapping[str, ArmSpec]) -> dict[str, ArmSpec]:
    """The candidates a recipe names; they may pool `known` arms and each other. `auto` has none before its search."""
    given = scene.recipe.candidates
    if not isinstance(given, dict):
        names = [] if given == "auto" else given
        given = {full_name.rsplit("/", 1)[-1]: {"fuse": full_name} for full_name in names}
    arms: dict[str, ArmSpec] = {}
    for name, entry in given.items():
        where = f"recipe, candidates.{name}"
        if name in known:
            raise UserError(f"'{name}' is already the name of a ladder arm", where=where, hint="choose another name")
        facts = {"fuse": entry} if isinstance(entry, str) else entry
        if is_compressed(facts):
            arms |= compressed(scene, name, facts, {**known, **arms}, where)
            continue
        if isinstance(facts, dict) and is_taught(facts):
            facts = {"fuse": FUSE, **facts}
        if not isinstance(facts, dict) or "fuse" not in facts:
            expected = "{fuse: FAMILY/NAME, of: [...]} or {compress: NAME, of: ARM}"
            raise UserError("a candidate names its method", where=where, expected=expected, got=repr(entry))
        arms |= tuned_members(scene, facts, {**known, **arms})
        arms[name] = check_abilities(_candidate(scene, name, facts, {**known, **arms}, where), scene.cards, where)
        if "then" in facts:
            arms[f"{name}+tuned"] = _twin(scene, arms[name], facts["then"], f"{where}.then")
    return arms


def _candidate(scene: Scene, name: str, facts: Mapping[str, Any], known: Mapping[str, ArmSpec], where: str) -> ArmSpec:
    how = method(str(facts["fuse"]), where=where)
    check_fuses(how, where)
    check_works_on(how, joint_field(scene.cards.values()), where)
    check_kind(how, scene.recipe.task.kind, where)
    settings = how.settings(settings_of(facts), where=where)
    given = facts.get("train", "frozen")
    own = {"regime": given} if isinstance(given, str) else {"regime": "frozen", **given}
    teachers = teachers_of(own, known, scene.named, how, f"{where}.train")
    stream = stream_of(own, scene.recipe.data, how, f"{where}.train")
    check_words(how, facts, where)
    of = facts.get("of", list(scene.cards))
    if not isinstance(of, list) or not of or not all(isinstance(member, str) for member in of):
        raise UserError("`of` lists what is fused, by name", where=where, got=repr(of)[:200])
    if how.shelf == "fusion/outputs":
        members = [f"frozen/{member}" if member in scene.cards else str(member) for member in of]
        for member in members:
            if member not in known:
                raise _absent(scene, member, known, where)
        return pool(name, how.full_name, members, settings, "candidate")
    for member in of:
        if member not in scene.cards:
            raise unknown_name("source", str(member), scene.cards, where=where)
    if how.shelf == "fusion/weights":
        return _merged(scene, how, facts, (name, of, settings), where)
    if own["regime"] == "frozen" and divides(how):
        own = {**GROWN, **scene.recipe.train.get("frozen", {}), **own}
    plan = scene.schedule(str(own["regime"]), own, where=f"{where}.train", taught=bool(teachers), streamed=bool(stream))
    plan = replace(plan, stack=plan.stack and not divides(how))
    if (plan.branch_dropout or plan.feature_dropout) and how.traits.get("joints") == "plain":
        raise UserError(
            f"{how.full_name} hands its blocks on as they are, so none can be dropped", where=f"{where}.train",
            hint="a features/ method, or structure/share",
        )  # fmt: skip
    if plan.monte_carlo and not (plan.branch_dropout or plan.feature_dropout or settings.get("dropout")):
        raise UserError(
            "monte_carlo averages over dropouts, and this arm has none", where=f"{where}.train",
            hint="give it dropout, feature_dropout or branch_dropout",
        )  # fmt: skip
    into, start = _receiving(scene, facts, of, where)
    named = _taps(scene, how, facts, [*of, RECIPIENT] if into else of, where)
    reads = reads_of(how, {member: scene.cards[member] for member in of}, named, scene.own if into else None)
    arm = ArmSpec(name, "candidate", "fused", "train", tuple(of), how.full_name, settings, tuple(reads), plan)
    arm = replace(arm, recipient=into, start=start, stream=stream)
    return student(arm, teachers, known, len(scene.classes), f"{where}.train") if teachers else arm


def _absent(scene: Scene, member: str, known: Mapping[str, ArmSpec], where: str) -> UserError:
    """Why a member is no arm: an own head that does not fit is told with its names, any other with the nearest."""
    source = member.removeprefix("as_is/")
    if member.startswith("as_is/") and source in scene.cards and scene.recipe.task.kind == "multiclass":
        return unanswered(source, scene.cards[source], scene.recipe.sources[source], scene.classes, where)
    return unknown_name("arm", member, [*known, *scene.cards], where=where)


def _receiving(scene: Scene, facts: Mapping[str, Any], of: Sequence[str], where: str) -> tuple[bool, str]:
    """Whether the sources go into the recipient, and which of them it starts from."""
    into, start = facts.get("into"), facts.get("start", "")
    if into is not None and (into != RECIPIENT or scene.own is None):
        hint = "recipient: pkg.module:factory" if scene.own is None else f"into: {RECIPIENT}"
        raise UserError("sources can go into the recipe's recipient only", where=where, got=f"into: {into}", hint=hint)
    if start and (start not in of or into is None):
        raise UserError(
            "`start` names one of `of`, and belongs to `into: recipient`", where=where, got=f"start: {start}"
        )
    return into is not None, start


def alone(scene: Scene) -> list[ArmSpec]:
    """The recipient by itself: as its maker gives it, and, where anything is tuned, from scratch."""
    if scene.own is None:
        return []
    how = method("structure/alone")
    plan = replace(scene.schedule("frozen", {**GROWN, **scene.recipe.train.get("frozen", {})}), stack=False)
    reads = tuple(reads_of(how, {}, None, scene.own))
    arm = ArmSpec(RECIPIENT, "baseline", "single", "train", (), how.full_name, how.settings({}), reads, plan)
    arm = replace(arm, recipient=True)
    again = replace(arm, name=f"{RECIPIENT}/scratch", role="control", random=(RECIPIENT,))
    return [arm] if scene.recipe.ladder == "quick" else [arm, again]


def _merged(scene: Scene, how: Entry, facts: Mapping[str, Any], given: tuple[Any, Any, Any], where: str) -> ArmSpec:
    """A merge of weights: read frozen with a new head, trained, or as it is with the members' own head."""
    name, of, settings = given
    if scene.recipe.search.trials:
        facts = {"tries": scene.recipe.search.trials, **facts}
    merge = merge_of(how, settings, {**facts, "of": of}, scene.cards, where)
    if facts.get("train") == "none":
        lacking = [member for member in of if not (scene.cards[member].classes or scene.recipe.sources[member].classes)]
        if lacking:
            raise UserError(
                "only sources that name their classes can be merged as they are",
                where=where,
                got=f"no class names in {', '.join(lacking)}",
                hint="leave `train` out: a new head is trained on the merged features",
            )
        reads, columns = (Read(of[0], "logits"),), merged_columns(of, scene.cards, scene.recipe, scene.classes, where)
        made = ArmSpec(name, "candidate", "soup", "as_is", tuple(of), how.full_name, settings, reads, merge=merge)
        return replace(made, columns=columns)
    base = single(scene, name, of[0], _plan(scene, facts, where))
    return replace(base, role="candidate", form="soup", members=tuple(of), merge=merge)


def _twin(scene: Scene, arm: ArmSpec, then: Any, where: str) -> ArmSpec:
    """The same merge, trained afterwards: at the budget of whatever regime `then` names."""
    base = single(scene, f"{arm.name}+tuned", arm.members[0], _plan(scene, {"train": then}, where))
    return replace(base, role="candidate", form="soup", members=arm.members, merge=arm.merge)


def _plan(scene: Scene, facts: Mapping[str, Any], where: str) -> Schedule:
    given = facts.get("train", "frozen")
    own = {"regime": given} if isinstance(given, str) else {**given}
    own = {"regime": own.pop("train", own.pop("regime", "frozen")), **own}
    return scene.schedule(str(own["regime"]), own, where=where)


def _taps(scene: Scene, how: Entry, facts: Mapping[str, Any], of: Sequence[str], where: str) -> dict[str, list[str]]:
    """The taps a candidate names: `taps: {a: [map]}`, `cut: {a: layer2}` or `cut: layer2`; else the sources' own.

    Structure ignores the sources' own taps, which name what feature fusers read.
    """
    taps = facts.get("taps", {})
    cut = facts.get("cut", "auto")
    if not isinstance(taps, dict) or not isinstance(cut, dict | str):
        raise UserError("`taps` and `cut` map sources to taps", where=where, got=f"taps {taps!r}, cut {cut!r}")
    named = {str(member): [value] if isinstance(value, str) else list(value) for member, value in taps.items()}
    if isinstance(cut, dict):
        named |= {str(member): [str(tap)] for member, tap in cut.items()}
    elif cut != "auto":
        named |= {member: [cut] for member in of}
    for member in named:
        if member not in of:
            raise unknown_name("member", member, of, where=where)
    own = {} if how.shelf == "fusion/structure" else {name: taps for name, taps in scene.taps.items() if name in of}
    return {**own, **named}
