"""Which block a fusion reads from which source: decided from cards alone, so that plans need no torch.

A method that reads more than one default tap of each source says so in a literal `READS`, a list of
{"of": OF, "at": AT, "use": USE}. OF is `each` source, the `host` (the recipient where there is one, else the first
source) or the `guests` (the others). AT is `features` (what a head would read), `cut` (the deepest block before the
last halving), `entry`, `later`, `stages` or `ends` (the first, the rest, all or the last two of up to three cuts along
the depth), or `canvas` (the images themselves). USE is `block` (read for every item), `target` (read on training rows
only, to match what is new to it) or `place` (not read: a part of the source begins or ends there).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from transfuse.errors import UserError, unknown_name
from transfuse.levels import stage_ends
from transfuse.registry import Entry
from transfuse.types import Card, Tap

# Exact rearrangements of the canvas. Copies of one source look at different views, else they were one column twice.
VIEWS = ("plain", "mirror", "flip", "turn")
CANVAS, RECIPIENT = "canvas", "recipient"
# How a plan, which numbers members, writes reads of the canvas itself and of the recipient.
OF_RECIPIENT, OF_CANVAS = -1, -2
USES = ("block", "target", "place")
MOST_STAGES = 3
STAGED = ("stages", "entry", "later", "ends")
Use = Literal["block", "target", "place"]


@dataclass(frozen=True)
class Read:
    """One block that a fusion reads: which member, at which tap, on which view of the canvas, and what for.

    The canvas itself is the tap `canvas` of no member; the recipient's places have the member `recipient`.
    """

    member: str
    tap: str
    view: str = "plain"
    use: Use = "block"

    @property
    def of_canvas(self) -> bool:
        return not self.member and self.tap == CANVAS


def pools(entry: Entry) -> bool:
    """Whether maps and tokens are averaged to vectors before the method sees them."""
    return entry.traits.get("accepts", "vector") == "vector"


def divides(entry: Entry) -> bool:
    """Whether the method runs parts of its sources itself, so that it needs them opened, not only their blocks."""
    return any(one.get("use", "block") != "block" or one.get("at") == CANVAS for one in entry.reads)


def early_cut(card: Card) -> str:
    """The deepest map before the last halving of the grid: what `cut: auto` keeps of a source.

    Taps stand in the order of execution, so of several maps on that grid the last is the outermost; one where nothing
    else crosses is preferred. A source of tokens has no halving: two thirds of its depth are kept.
    """
    maps = [tap for tap in card.taps.values() if tap.kind == "map" and not tap.pooled and len(tap.size) == 2]
    sides = sorted({tap.size for tap in maps if min(tap.size) > 1})
    depth = _along_tokens(card)
    if depth:
        return depth[2 * len(depth) // 3].name
    if not sides:
        raise UserError(
            f"source '{card.name}' gives no map larger than 1 x 1 on this canvas, so it cannot be cut at one",
            where=card.spec,
            hint="use a larger canvas, or a features/ method",
        )
    final = card.taps["map"].size if "map" in card.taps else sides[0]
    larger = [side for side in sides if side > final]
    side = larger[0] if larger else sides[-1]
    there = [tap for tap in maps if tap.size == side and tap.name != "map"] or [tap for tap in maps if tap.size == side]
    return ([tap for tap in there if tap.cut] or there)[-1].name


def stages(card: Card) -> list[str]:
    """Up to three cuts along a source's depth, the last before its features. Raises UserError where there is none.

    Of each grid it is the last place where one value crosses; of tokens, or on a single grid, they are evenly spaced.
    A grid that one place alone has (VGG's last pooling) is no stage where three others are: nothing is learned there.
    """
    maps = [tap for tap in _before_features(card) if tap.kind == "map" and tap.cut and min(tap.size, default=0) > 1]
    grids: dict[tuple[int, ...], list[str]] = {}
    for tap in maps:
        grids.setdefault(tap.size, []).append(tap.name)
    whole = [names[-1] for names in grids.values() if len(names) > 1]
    found = whole if len(whole) >= MOST_STAGES else [names[-1] for names in grids.values()]
    depth = _along_tokens(card) or maps
    if depth is not maps or len(found) < 2:
        steps = min(MOST_STAGES, len(depth))
        found = [depth[(number + 1) * len(depth) // steps - 1].name for number in range(steps)]
    if not found:
        raise UserError(
            f"source '{card.name}' can be cut nowhere before its features",
            where=card.spec,
            expected="a map larger than 1 x 1, or tokens, where exactly one value crosses",
            hint="use a larger canvas, or a features/ method",
        )
    return found[-MOST_STAGES:]


def _before_features(card: Card) -> list[Tap]:
    """The taps up to the one that `map` or `tokens` stands for, under their own names."""
    names = [name for name in card.taps if name not in ("map", "tokens", "vector", "logits")]
    alias = next((card.taps[name] for name in ("map", "tokens") if name in card.taps), None)
    ends = [index for index, name in enumerate(names) if alias is not None and card.taps[name].place == alias.place]
    found = [card.taps[name] for name in (names[: ends[-1] + 1] if ends else names)]
    # What a container gives right after its last part is that part's own block once more.
    after = [*(tap.place for tap in found[1:]), ""]
    return [tap for tap, place in zip(found, after, strict=True) if not place or not tap.place.startswith(f"{place}.")]


def _along_tokens(card: Card) -> list[Tap]:
    """The cuts along a network whose deepest block is tokens: those of its most frequent width and number."""
    if "tokens" not in card.taps:
        return []
    tokens = [tap for tap in _before_features(card) if tap.kind == "tokens" and tap.cut]
    kinds = [(tap.size, tap.width) for tap in tokens]
    usual = max(kinds, key=kinds.count, default=None)
    return [tap for tap, kind in zip(tokens, kinds, strict=True) if kind == usual]


def features_tap(card: Card) -> str:
    """The tap a head reads: the penultimate features."""
    for name in ("fused", "vector", "tokens", "map"):
        if name in card.taps:
            return name
    expected = "a vector, tokens or a map"
    raise UserError(f"source '{card.name}' has no features to read", where=card.spec, expected=expected)


def default_tap(traits: Mapping[str, Any], card: Card) -> str:
    """The tap a method reads when none is named: the penultimate features, or an early map for structure."""
    return features_tap(card) if traits.get("accepts", "vector") == "vector" else early_cut(card)


def default_taps(traits: Mapping[str, Any], card: Card) -> list[str]:
    """The taps a method without `READS` reads when none is named: one, or several by its trait `taps`.

    `levels`: the ends of the deepest stages that give maps, or tokens where none does. `layers`: stages spread evenly,
    and the features.
    """
    if card.field != "image":
        return [default_tap(traits, card)]
    asked, known = traits.get("taps"), stage_ends(card) if "taps" in traits else []
    if asked == "levels":
        maps = [name for name in known if card.taps[name].kind == "map"]
        return (maps or known)[-MOST_STAGES:] or [early_cut(card)]
    if asked == "layers":
        step = max(1.0, (len(known) - 1) / (MOST_STAGES - 1))
        spread = [known[-1 - round(index * step)] for index in range(min(MOST_STAGES, len(known)))]
        return [*reversed(spread), features_tap(card)]
    return [default_tap(traits, card)]


def reads_of(
    entry: Entry,
    cards: Mapping[str, Card],
    taps: Mapping[str, Sequence[str]] | None = None,
    recipient: Card | None = None,
) -> list[Read]:
    """The blocks a method reads, blocks first, then targets, then places; refused from the cards if they misfit.

    `taps` name what is read of a member instead of the method's own choice: its features for fusers of vectors, its
    cuts for structure, in order.
    """
    named = taps or {}
    every = {**cards, **({} if recipient is None else {RECIPIENT: recipient})}
    for member in named:
        if member not in every:
            raise unknown_name("source", member, every, where="taps")
    _count(entry, cards, recipient)
    if not entry.reads:
        reads = [
            Read(member, tap)
            for member, card in cards.items()
            for tap in named.get(member) or default_taps(entry.traits, card)
        ]
    else:
        found = dict.fromkeys(_declared(entry, cards, named, recipient))
        reads = sorted(found, key=lambda read: USES.index(read.use))
    check_reads(entry, every, reads)
    return reads


def _count(entry: Entry, cards: Mapping[str, Card], recipient: Card | None) -> None:
    """Refuse too few or too many sources for the method."""
    if recipient is not None and not any(one["of"] == "host" for one in entry.reads):
        raise UserError(f"{entry.full_name} has no place for a recipient", hint="structure/lateral or structure/graft")
    parts = len(cards) + (recipient is not None)
    least, most = entry.traits.get("least", 1), entry.traits.get("most")
    if not parts:
        raise UserError(f"{entry.full_name} needs at least one source")
    if parts < least or (most is not None and parts > most):
        wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        raise UserError(
            f"{entry.full_name} connects {wanted} networks",
            got=f"{parts}: {', '.join([*cards, *([RECIPIENT] if recipient else [])])}",
        )


def _declared(
    entry: Entry, cards: Mapping[str, Card], named: Mapping[str, Sequence[str]], recipient: Card | None
) -> Iterator[Read]:
    """The reads of a method's `READS`, in the order they are written."""
    every = {**({} if recipient is None else {RECIPIENT: recipient}), **cards}
    host, *guests = every
    groups = {"each": list(every), "host": [host], "guests": guests}
    staged = [name for one in entry.reads if one["at"] in STAGED for name in groups[one["of"]]]
    cuts = {name: list(named.get(name) or stages(every[name])) for name in dict.fromkeys(staged)}
    if cuts:
        shortest = min(len(found) for found in cuts.values())
        wanted = next((len(found) for name, found in cuts.items() if name in named), shortest)
        cuts = {name: found if name in named else found[-wanted:] for name, found in cuts.items()}
    if len({len(found) for found in cuts.values()}) > 1:
        got = "; ".join(f"{name}: {', '.join(found)}" for name, found in cuts.items())
        raise UserError(f"{entry.full_name} connects its networks at as many taps each", where="taps", got=got)
    for one in entry.reads:
        for name in groups[one["of"]]:
            yield from _at(entry, name, every[name], one, cuts.get(name, []), named.get(name), name == RECIPIENT)


def _at(
    entry: Entry, name: str, card: Card, one: Mapping[str, str], cuts: Sequence[str], named: Any, new: bool
) -> Iterator[Read]:
    use: Any = one.get("use", "block")
    if one["at"] == CANVAS:
        yield Read("", CANVAS)
        return
    if one["at"] == "features":
        own = not any(other["at"] in (*STAGED, "cut") for other in entry.reads)
        taps = list(named) if named and own else [features_tap(card)]
    elif one["at"] == "cut":
        taps = list(named or [early_cut(card)])
        if len(taps) != 1:
            raise UserError(f"{entry.full_name} cuts each source once", where=f"taps, '{name}'", got=", ".join(taps))
    else:
        taps = {"stages": cuts, "entry": cuts[:1], "later": cuts[1:], "ends": cuts[-2:]}[one["at"]]
        if one["at"] == "ends" and len(taps) < 2:
            raise UserError(f"{entry.full_name} needs two cuts of a guest", where=f"source '{name}'", got=taps[0])
    if new and use != "place":
        # A recipient learns from its first layer on, so it is run from the images and nothing of it is kept.
        yield Read("", CANVAS)
        use = "place"
    yield from (Read(name, tap, use=use) for tap in taps)


def check_reads(entry: Entry, cards: Mapping[str, Card], reads: Sequence[Read]) -> None:
    """Refuse what a method cannot take, from cards alone, naming the source and the tap."""
    for read in reads:
        if read.of_canvas:
            continue
        card = cards[read.member]
        tap = card.tap(read.tap)
        where = f"source '{read.member}', tap '{read.tap}'"
        kind = f"{tap.kind} of width {tap.width}"
        accepts = entry.traits.get("accepts", "vector")
        fine = {"map": ("map",), "any": ("map", "tokens")}.get(accepts, (tap.kind,))
        if card.field == "text" and tap.kind == "tokens":
            raise UserError(
                f"{entry.full_name} would take the padding of texts for words",
                where=where,
                got=kind,
                hint="tap 'vector', in which only a text's own tokens are averaged",
            )
        own = bool(entry.reads) and read.tap == features_tap(card)
        if not own and (tap.kind not in fine or (accepts != "vector" and tap.pooled)):
            wanted = "maps [N, C, H, W]" + (" or tokens [N, T, D]" if accepts == "any" else "")
            instead = early_cut(card)
            hint = f"tap '{instead}'" if card.tap(instead).kind in fine else None
            raise UserError(f"{entry.full_name} fuses {wanted}", where=where, got=kind, hint=hint)
        if tap.kind == "logits":
            raise UserError(
                f"{entry.full_name} fuses features, not logits",
                where=where,
                hint="outputs/mean_prob fuses predictions",
            )
        if divides(entry) and not tap.cut and read.use != "block" and read.tap != features_tap(card) and card.cuttable:
            there = [one.name for one in card.taps.values() if one.cut and one.size == tap.size]
            raise UserError(
                f"{entry.full_name} divides its sources where one value crosses, and here there are more",
                where=where,
                hint=f"tap '{there[-1]}'" if there else None,
            )
