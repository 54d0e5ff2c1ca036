"""Connecting: from sources and a method's name to a trainable network, every mismatch found before weights matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from transfuse.errors import UserError, first_line, unknown_name
from transfuse.fields import IMAGE, check_works_on, joint_field
from transfuse.fields import views as views_of
from transfuse.fusion.contract import Front
from transfuse.fusion.fused import Crown, Fused
from transfuse.fusion.joints import Completed
from transfuse.fusion.parts import Opened, Parts, Shapes, UnseenError
from transfuse.jsonio import digest, plain
from transfuse.kinds import kind_of
from transfuse.reads import CANVAS, RECIPIENT, Read, check_reads, pools, reads_of
from transfuse.registry import Entry, method
from transfuse.seeds import integer
from transfuse.source.base import Source
from transfuse.types import Card, TaskKind

COLOURS = 3
# What was tried on shapes in this process and fits: trainings build the same crown many times.
_FITTING: set[str] = set()


def crown(
    named: str | Entry,
    cards: Mapping[str, Card],
    reads: Sequence[Read] | None,
    classes: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    parts: Opened | None = None,
    kind: TaskKind = "multiclass",
) -> Crown:
    """The new part of a fusion by the method `FAMILY/NAME` (or its entry), from cards alone.

    Methods that run parts of their sources get them from `parts`; what enters them is tried on shapes first. The crown
    starts from the stream of `seed`; the global random state is left alone. Raises UserError for settings the method
    refuses, reads and joints that do not fit, and fewer than two or repeated classes; of labels or targets of a `kind`
    of task one is enough.
    """
    entry = connecting(named)
    given = entry.settings(settings or {})
    recipient = None if parts is None or parts.recipient is None else parts.recipient.card
    every = {**cards, **({} if recipient is None else {RECIPIENT: recipient})}
    chosen = list(reads or reads_of(entry, cards, recipient=recipient))
    _check(entry, every, chosen)
    check_works_on(entry, joint_field(every.values()), entry.full_name)
    if len(set(classes)) != len(classes) or len(classes) < kind_of(kind).least:
        least = "two or more distinct" if kind == "multiclass" else "one or more distinct"
        raise UserError(f"a fusion needs {least} {kind_of(kind).columns}", got=", ".join(classes) or "none")
    widths = [_width(every, read) for read in chosen if read.use == "block"]
    with torch.random.fork_rng(devices=[]):
        module = entry.load()
        if entry.shelf == "fusion/features":
            torch.manual_seed(integer(seed, "init"))
            body = module.Fuser(widths, **given)
        else:
            _try_shapes(entry, every, chosen, given)
            torch.manual_seed(integer(seed, "init"))
            body = module.build(_fronts(every, chosen, parts), **given)
        plain = entry.traits.get("joints") == "plain"
        made = Crown(widths, body, classes, entry.full_name, given, plain=plain, kind=kind)
    blocks = [read for read in chosen if read.use == "block"]
    for place, read in enumerate(blocks):
        if not plain and not read.of_canvas and (numbers := every[read.member].tap(read.tap).numbers):
            made.joints[place] = Completed(widths[place], numbers)
    views = [(read.member, read.view) for read in blocks]
    known = list(dict.fromkeys(views))
    if parts is not None:
        made.__dict__["recipient"] = parts.recipient
    made.dropping.branches = tuple(known.index(view) for view in views)
    return made


def _width(cards: Mapping[str, Card], read: Read) -> int:
    return COLOURS if read.of_canvas else cards[read.member].tap(read.tap).width


def _fronts(cards: Mapping[str, Card], reads: Sequence[Read], parts: Parts | None) -> list[Front]:
    """What a structure method sees of its reads; the host is the recipient if there is one, else the first source."""
    members = [read.member for read in reads if not read.of_canvas]
    host = RECIPIENT if RECIPIENT in members else next(iter(cards), "")
    found = []
    for read in reads:
        if read.of_canvas:
            found.append(Front("", CANVAS, COLOURS, (), parts=parts))
            continue
        card, tap = cards[read.member], cards[read.member].tap(read.tap)
        facts = {"use": read.use, "host": read.member == host, "flexible": card.flexible, "parts": parts}
        found.append(Front(read.member, read.tap, tap.width, tap.size, tap.kind, **facts))
    return found


def _try_shapes(entry: Entry, cards: Mapping[str, Card], reads: Sequence[Read], settings: Mapping[str, Any]) -> None:
    """Build the new part and lead blocks without rows through it, before any weight of a source is read."""
    fronts = _fronts(cards, reads, Shapes(cards))
    side = max((card.prepare.size for card in cards.values()), default=1)
    facts = [(front.name, front.kind, front.width, front.size, front.use, front.host) for front in fronts]
    tried = digest([entry.full_name, entry.digest, facts, plain(settings), side])
    if tried in _FITTING:
        return
    try:
        with torch.no_grad():
            body = entry.load().build(fronts, **settings).eval()
            blocks = [_shaped(front, side) for front in fronts if front.use == "block"]
            body(blocks)
        _FITTING.add(tried)
    except UnseenError:
        return
    except (RuntimeError, ValueError, IndexError) as error:
        ends = ", ".join(f"{front.name} {list(_shaped(front, side).shape)}".replace("[0,", "[N,") for front in fronts)
        raise UserError(f"{entry.full_name} cannot join these blocks", where=ends, got=first_line(error)) from error


def _shaped(front: Front, side: int) -> torch.Tensor:
    if front.of_canvas:
        return torch.empty(0, COLOURS, side, side)
    sizes = (*front.size, front.width) if front.kind == "tokens" else (front.width, *front.size)
    return torch.empty(0, *sizes)


def _check(entry: Entry, cards: Mapping[str, Card], reads: Sequence[Read]) -> None:
    """The reads asked for are of known members, taps and views."""
    for read in reads:
        if read.member not in cards and not read.of_canvas:
            raise unknown_name("member", read.member, cards)
        known = views_of(IMAGE if read.of_canvas else cards[read.member].field)
        if read.view not in known:
            raise unknown_name("view", read.view, known, where=f"source '{read.member}', tap '{read.tap}'")
    check_reads(entry, cards, reads)


def connecting(named: str | Entry) -> Entry:
    """The entry of a method that connects networks; the other families are refused by name."""
    entry = method(named) if isinstance(named, str) else named
    if entry.shelf not in ("fusion/features", "fusion/structure"):
        raise UserError(f"{entry.full_name} does not connect networks", expected="a method of features/ or structure/")
    return entry


def connect(
    named: str | Entry,
    members: Mapping[str, Source],
    reads: Sequence[Read] | None,
    classes: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    recipient: Source | None = None,
    kind: TaskKind = "multiclass",
) -> Fused:
    """A trainable network that reads `members` at `reads` and fuses them by the method `FAMILY/NAME` (or its entry).

    With a `recipient`, a network of the user's own, the sources are connected into it; it is used as it is, not copied.
    """
    entry = connecting(named)
    cards = {member: source.card for member, source in members.items()}
    own = None if recipient is None else recipient.card
    chosen = list(reads or reads_of(entry, cards, recipient=own))
    parts = Opened(members, recipient)
    top = crown(entry, cards, chosen, classes, settings=settings, seed=seed, parts=parts, kind=kind)
    return Fused("fused", members, chosen, top, pool=pools(entry), recipient=recipient)
