"""The ladder: what a fusion must answer to, what each rung isolates, and what is left unmeasured and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from transfuse.fields import COLUMNS, IMAGE
from transfuse.plan import controls
from transfuse.plan.abilities import check_attacks, possible
from transfuse.plan.arms import ArmSpec, Scene, alone, candidates, pool, single
from transfuse.plan.heads import columns_of
from transfuse.plan.merges import merge_of
from transfuse.plan.recipe import ALTERNATIVE, Recipe
from transfuse.plan.students import untaught
from transfuse.reads import RECIPIENT, Read
from transfuse.registry import method
from transfuse.types import Card

FULL_ONLY = ("compute_matched", "parameter_matched", ALTERNATIVE)


@dataclass(frozen=True)
class Follower:
    """A rung that follows a choice: for each answer the choice may give, the arm that then stands there and runs."""

    name: str
    choice: str
    options: Mapping[str, ArmSpec]


@dataclass(frozen=True)
class Ladder:
    """Arms by what they are for.

    `fixed` (prior, as-is, ensemble, soup, alternative), `singles` and `candidates` always run. `tuned_singles` and
    `tuned_fusions` hold the tuned form of every frozen arm, of which only the chosen one runs; `followers` are the
    controls. `curves` says whether learning is looked at on fewer rows too, `proposes` whether an alternative is looked
    for because the recipe names none. `exposed` says whether the winner, the best single and the
    ensemble are asked about more than clean judged rows. `own` are the finalists of each scope's own search, `searches`
    the keys of these by the scope's label.
    """

    fixed: tuple[ArmSpec, ...]
    singles: tuple[ArmSpec, ...]
    candidates: tuple[ArmSpec, ...]
    tuned_singles: Mapping[str, ArmSpec]
    tuned_fusions: Mapping[str, ArmSpec]
    followers: tuple[Follower, ...]
    not_measured: tuple[tuple[str, str], ...]
    curves: bool = False
    proposes: bool = False
    exposed: bool = True
    own: Mapping[str, frozenset[str]] = field(default_factory=dict)
    searches: Mapping[str, str] = field(default_factory=dict)

    def within(self, label: str) -> Ladder:
        """The ladder of one scope: where each made a search of its own, only what that search found."""
        if label not in self.own:
            return self
        names = self.own[label]
        return replace(
            self,
            candidates=tuple(arm for arm in self.candidates if arm.name in names),
            tuned_fusions={name: arm for name, arm in self.tuned_fusions.items() if name in names},
        )

    def arms(self) -> dict[str, ArmSpec]:
        """The arms that always run, by name."""
        return {arm.name: arm for arm in (*self.fixed, *self.singles, *self.candidates)}

    def every(self) -> list[ArmSpec]:
        """All arms that may run, whatever is chosen."""
        followers = (arm for follower in self.followers for arm in follower.options.values())
        tuned = (*self.tuned_singles.values(), *self.tuned_fusions.values())
        return [*self.fixed, *self.singles, *self.candidates, *tuned, *followers]

    @property
    def ready(self) -> list[ArmSpec]:
        """The fixed arms that may be the best single: sources as they are, and tuned ones that are asked for."""
        tuned = {f"tuned/{arm.members[0]}" for arm in self.singles}
        return [arm for arm in self.fixed if arm.kind == "as_is" or arm.name in tuned]

    @property
    def contenders(self) -> dict[str, ArmSpec]:
        """What may be the winner: the candidates, and the tuned form of the best frozen one."""
        return {arm.name: arm for arm in (*self.candidates, *self.tuned_fusions.values())}

    @property
    def frozen_fusions(self) -> dict[str, ArmSpec]:
        """The candidates that are one network on frozen members."""
        return {arm.name: arm for arm in self.candidates if controls.connected(arm) and arm.regime == "frozen"}

    @property
    def networks(self) -> dict[str, ArmSpec]:
        """The contenders that are one network: what the controls can be made of."""
        return {name: arm for name, arm in self.contenders.items() if controls.connected(arm)}

    def follower(self, name: str) -> Mapping[str, ArmSpec]:
        """The options of one follower; none where the ladder has no such rung."""
        return next((found.options for found in self.followers if found.name == name), {})


def ladder(recipe: Recipe, cards: Mapping[str, Card], classes: Sequence[str]) -> Ladder:
    """All arms of a recipe, from cards alone; the alternative's card stands among them under its own name."""
    sources = {name: card for name, card in cards.items() if name in recipe.sources}
    scene = Scene(recipe, sources, cards.get(RECIPIENT) if recipe.recipient is not None else None, classes)
    check_attacks(recipe.judge.conditions, sources)
    tuning, of_texts = recipe.ladder != "quick", any(card.field != IMAGE for card in sources.values())
    frozen, full = scene.schedule("frozen"), scene.schedule("full") if tuning else None
    singles = [single(scene, f"frozen/{name}", name, frozen) for name in sources]
    fixed, skipped = _fixed(scene, singles)
    fixed += alone(scene)
    named = set(recipe.candidates) if isinstance(recipe.candidates, dict) else set()
    for arms, missing in (_soup(scene, tuning, named), _alternative(Scene(recipe, cards), tuning)):
        fixed += arms
        skipped += missing
    found = candidates(scene, {arm.name: arm for arm in (*fixed, *singles)})
    fixed += untaught(found.values())
    fixed += [arm for arm in found.values() if arm.role == "baseline"]
    found = {name: arm for name, arm in found.items() if arm.role != "baseline"}
    if not tuning:
        skipped += [(what, "the ladder is 'quick'; 'standard' has it") for what in ("tuned/…", "scratch")]
    if recipe.ladder == "full" and recipe.alternative is None and of_texts:
        skipped.append((ALTERNATIVE, "the stated accuracies of other models are of images; write `alternative: SPEC`"))
    if recipe.ladder != "full":
        skipped += [(what, f"the ladder is '{recipe.ladder}'; 'full' has it") for what in FULL_ONLY]
    tuned = {arm.name: replace(arm, name=f"tuned/{arm.members[0]}", schedule=full) for arm in singles if tuning}
    tuned_singles, missing = possible(tuned, cards)
    skipped += missing
    made = Ladder(
        fixed=tuple(fixed),
        singles=tuple(singles),
        candidates=tuple(found.values()),
        tuned_singles=tuned_singles,
        tuned_fusions={},
        followers=(),
        not_measured=(),
        curves=bool(recipe.smaller_sizes),
        # What is known of other models is how well they tell images.
        proposes=recipe.ladder == "full" and recipe.alternative is None and bool(found) and not of_texts,
    )
    tuned = {name: replace(arm, name=f"tuned/{name}", schedule=full) for name, arm in made.frozen_fusions.items()}
    tuned_fusions, missing = possible(tuned if tuning else {}, cards)
    skipped += missing
    made = replace(made, tuned_fusions=tuned_fusions)
    followers, missing = _possible(_followers(scene, made), cards)
    skipped += [*missing, *_absent(made, followers)]
    return replace(made, followers=tuple(followers), not_measured=tuple(dict.fromkeys(skipped)))


def _fixed(scene: Scene, singles: Sequence[ArmSpec]) -> tuple[list[ArmSpec], list[tuple[str, str]]]:
    fixed, skipped = [ArmSpec("prior", "baseline", "single", "prior", ())], []
    for name, card in scene.cards.items():
        entry, kind = scene.recipe.sources[name], scene.recipe.task.kind
        columns, why = columns_of(name, card, entry, scene.classes, kind)
        if columns is None:
            skipped.append((f"as_is/{name}", why))
            continue
        arm = ArmSpec(f"as_is/{name}", "baseline", "single", "as_is", (name,), reads=(Read(name, "logits"),))
        fixed.append(replace(arm, columns=columns))
    if len(singles) > 1:
        fixed.append(pool("ensemble", "outputs/mean_prob", [arm.name for arm in singles], {}, "baseline"))
    else:
        skipped.append(("ensemble", "there is one source only"))
    return fixed, skipped


def _soup(scene: Scene, tuning: bool, named: set[str]) -> tuple[list[ArmSpec], list[tuple[str, str]]]:
    """The plain mean of the weights of the largest group of sources of one architecture, as the cards tell it."""
    if "soup" in named:
        return [], []
    if not tuning:
        return [], [("soup", "the ladder is 'quick'; 'standard' has it")]
    alike: dict[object, list[str]] = {}
    for name, card in scene.cards.items():
        if card.compressed or card.field == COLUMNS:
            continue
        taps = tuple((tap.name, tap.kind, tap.width, tap.place) for tap in card.taps.values())
        alike.setdefault((taps, card.parameters, card.class_count), []).append(name)
    group = max(alike.values(), key=len, default=[])
    if len(group) < 2 or not all(scene.cards[name].has_weights for name in group):
        return [], [("soup", "no two sources have the same architecture, so their weights have no mean")]
    how = method("weights/mean")
    base = single(scene, "soup", group[0], scene.schedule("frozen"))
    merge = merge_of(how, how.settings({}), {}, scene.cards, "ladder, soup")
    return [replace(base, form="soup", members=tuple(group), merge=merge)], []


def _alternative(scene: Scene, tuning: bool) -> tuple[list[ArmSpec], list[tuple[str, str]]]:
    """The single source that the user names as another way to spend the fusion's cost; never a member of a fusion."""
    if scene.recipe.ladder != "full" or ALTERNATIVE not in scene.cards:
        return [], []
    arm = single(scene, ALTERNATIVE, ALTERNATIVE, scene.schedule("frozen"))
    tuned = replace(arm, name=f"tuned/{ALTERNATIVE}", schedule=scene.schedule("full"))
    found, missing = possible({one.name: one for one in ([arm, tuned] if tuning else [arm])}, scene.cards)
    return [*found.values()], missing


def _followers(scene: Scene, made: Ladder) -> list[Follower]:
    """The controls; each follows the winner, or the best frozen fusion where the winner is not one network."""
    networks, tuning = made.networks, scene.recipe.ladder != "quick"
    branched = {name: arm for name, arm in networks.items() if controls.branches(arm) > 1}
    found = [
        Follower(
            "copies",
            "copied",
            {
                f"{name}{controls.TOGETHER}{alone.name}": controls.copies(
                    arm, alone, scene.cards[alone.members[0]].field
                )
                for name, arm in branched.items()
                for alone in made.singles
            },
        )
    ]
    fused = {name: arm for name, arm in networks.items() if len(arm.members) > 1}
    for source in scene.cards:
        again = {name: controls.random(arm, source) for name, arm in fused.items() if source in arm.members}
        found.append(Follower(f"random/{source}", "controlled", again))
    for source in scene.cards:
        rest = {
            name: controls.without(scene, arm, source, {**made.arms(), **made.contenders})
            for name, arm in made.contenders.items()
        }
        found.append(Follower(f"without/{source}", "winner", {name: arm for name, arm in rest.items() if arm}))
    if tuning:
        plan = scene.schedule("scratch")
        found.append(
            Follower("scratch", "controlled", {name: controls.scratch(arm, plan) for name, arm in networks.items()})
        )
    if scene.recipe.ladder == "full" and made.contenders:
        found += [_matched(made, "compute_matched", "flops"), _matched(made, "parameter_matched", "parameters")]
    return [follower for follower in found if follower.options]


def _possible(followers: Sequence[Follower], cards: Mapping[str, Card]) -> tuple[list[Follower], list[tuple[str, str]]]:
    """The followers with the options that can be; where none is left, why."""
    kept, missing = [], []
    for follower in followers:
        options, reasons = possible(follower.options, cards)
        kept += [replace(follower, options=options)] if options else []
        missing += [] if options else reasons
    return kept, missing


def _matched(made: Ladder, name: str, what: str) -> Follower:
    """The best single brought up to the winner in one kind of cost; a head of its own is trained in its tuned form."""
    trained = {arm.name: arm for arm in (*made.singles, *made.tuned_singles.values())}
    trained |= {
        arm.name: made.tuned_singles.get(f"frozen/{arm.members[0]}", trained[f"frozen/{arm.members[0]}"])
        for arm in made.fixed
        if arm.kind == "as_is"
    }
    return Follower(
        name, "best_single", {key: replace(arm, name=name, role="control", match=what) for key, arm in trained.items()}
    )


def _absent(made: Ladder, followers: Sequence[Follower]) -> list[tuple[str, str]]:
    """Controls that no winner could have, and why."""
    names = {follower.name.split("/")[0] for follower in followers}
    reasons = {
        "copies": "no candidate has two branches",
        "random": "no candidate is one network of two sources",
        "without": "no candidate can spare a source",
    }
    return [(what if what == "copies" else f"{what}/…", why) for what, why in reasons.items() if what not in names]
