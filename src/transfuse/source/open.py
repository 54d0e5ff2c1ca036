"""Without this file, nobody could go from a spec to a card, and from a card to a source, the same way twice.

`identity` says what a card depends on and needs no torch. `make_card` looks at the network once; `open_source` gives
the source of a card and refuses weights that are not those the card was made of.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse import cells
from transfuse.errors import UserError, first_line
from transfuse.fields import COLUMNS, IMAGE, TEXT, check_field, field_of
from transfuse.files.weights import existing
from transfuse.jsonio import digest, file_digest
from transfuse.registry import find
from transfuse.source.prepare import EXAMPLE, METADATA_KEY, read, what_to_state
from transfuse.source.spec import SHELF, Built, Spec, carries, parse
from transfuse.types import Card, Prepare, Tap

if TYPE_CHECKING:
    from torch import Tensor, nn

    from transfuse.source.base import Source

PACKAGES = ("torch", "torchvision", "timm")
ROWS = 2
# A second size to see whether a network is bound to the first; a multiple of 32, as most strides are.
STEP_PIXELS = 32
# Without a graph cuts are found by trying: so many taps at most, and so deep inside the network.
TRIED_CUTS, TRIED_DEPTH = 24, 2
# Raised where a card tells more than it did, so that kept cards are made anew.
CARD_REVISION = 3


def identity(spec: str, root: Path) -> dict[str, Any]:
    """What a card is keyed by: the spec, {file: SHA-256} of local files that decide it, and the packages' versions.

    Torch-free but for factories. Raises UserError for a spec that cannot be read and for a missing file.
    """
    parsed = parse(spec)
    made = {"state": _made_by(parsed, root)} if parsed.scheme == "factory" else {}
    return made | {
        "spec": spec,
        "files": {str(path.name): file_digest(existing(path)) for path in _files(parsed, root)},
        "versions": {package: _version(package) for package in (*PACKAGES, *packages(parsed.scheme))},
    }


def packages(scheme: str) -> tuple[str, ...]:
    """The optional packages that decide what a source of this kind computes."""
    return tuple(str(find(SHELF, scheme).traits.get("packages", "")).split())


def spec_files(spec: str, root: Path) -> list[Path]:
    """The local files that a spec names."""
    return _files(parse(spec), root)


def _files(spec: Spec, root: Path) -> list[Path]:
    return find(SHELF, spec.scheme).load().files(spec, root)


def _made_by(spec: Spec, root: Path) -> str:
    """The digest of what a factory gives: it alone knows what that rests on, so it has to be asked."""
    from transfuse.source.behaviour import behaviour

    return behaviour(find(SHELF, spec.scheme).load().build(spec, root).module)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def make_card(
    name: str,
    spec: str | nn.Module,
    *,
    root: Path,
    canvas: int,
    prepare: Mapping[str, Any] | None = None,
    seen: str = "unknown",
    field: str | None = None,
) -> Card:
    """Everything the plan needs to know of a source, found by building it and watching one forward at the canvas size.

    `prepare` goes over what the package or file states. A module without it takes images in [0, 1] as they are, which
    its notes say. With `field` the data are known to be images, or texts. Raises UserError for anything in the way:
    unknown names, unfit or non-finite weights, a missing `prepare`, a network that accepts no such images or gives no
    class scores, or that reads items of another field.
    """
    from torch import nn

    from transfuse.source.base import Source

    if isinstance(spec, Source):
        check_field(name, spec.card.field, spec.card.spec, field)
        return replace(spec.card, name=name)
    if isinstance(spec, nn.Module):
        text = f"module:{type(spec).__name__}"
        built = Built(spec)
    else:
        text = spec
        built = find(SHELF, parse(spec).scheme).load().build(parse(spec), root)
    where = f"source '{name}' ({text})"
    check_field(name, field_of(built.module), text, field)
    wanted, notes = _prepare(built, parse(text), prepare, canvas, where)
    return _card(name, text, replace(built, prepare=wanted, notes=notes), root=root, canvas=canvas, seen=seen)


def _prepare(
    built: Built, spec: Spec, stated: Mapping[str, Any] | None, canvas: int, where: str
) -> tuple[Prepare, tuple[str, ...]]:
    if field_of(built.module) == COLUMNS:
        columns = cells.schema_of(stated or {}, built.module.names, where)  # pyright: ignore
        return Prepare(cells.width(columns), (), (), channels=0, columns=columns), built.notes
    if stated is not None and field_of(built.module) == TEXT:
        raise UserError("a source of texts is prepared by its own tokenizer", where=where, hint="leave `prepare` out")
    if stated is not None:
        return read(stated, where=where, base=built.prepare), built.notes
    if built.prepare is not None:
        return built.prepare, built.notes
    if spec.scheme in ("module", "factory"):
        note = "no prepare was stated: the network takes images in [0, 1] as they are"
        return Prepare(size=canvas, mean=(0.0,) * 3, std=(1.0,) * 3), (*built.notes, note)
    raise UserError(
        "nobody states how this source wants its images",
        where=where,
        expected=f"'prepare' beside the source, or the same fields as JSON in the file's metadata '{METADATA_KEY}'",
        hint=EXAMPLE,
    )


def _card(name: str, text: str, built: Built, *, root: Path, canvas: int, seen: str) -> Card:
    from transfuse.source.screen import LIMITS, screen, told
    from transfuse.source.weights import require_finite

    spec, module, prepare = parse(text), built.module, built.prepare
    where = f"source '{name}' ({text})"
    if prepare is None:
        raise UserError("nobody states how this source wants its images", where=where, hint=EXAMPLE)
    require_finite(module, where)
    unusual = screen((name, tensor.detach().float().cpu().numpy()) for name, tensor in module.state_dict().items())
    taps, flexible = _taps(module, prepare, canvas, where)
    cuttable, cuts = (
        (False, set()) if built.frozen else _cuts(module, taps, prepare, canvas if flexible else prepare.size)
    )
    taps = {tap: replace(facts, cut=tap in cuts) for tap, facts in taps.items()}
    class_count = taps["logits"].width
    if built.classes and len(built.classes) != class_count:
        expected, got = f"{class_count} names", str(len(built.classes))
        raise UserError("the class names do not fit the classifier", where=where, expected=expected, got=got)
    return Card(
        name=name,
        spec=text,
        origin=spec.scheme,
        sha256=_digest(spec, module, root),
        prepare=prepare,
        taps=taps,
        class_count=class_count,
        classes=built.classes,
        parameters=sum(parameter.numel() for parameter in module.parameters()) + getattr(module, "stored", 0),
        licence=built.licence,
        field=field_of(module),
        flexible=flexible,
        random=spec.random,
        trainable=not built.frozen and field_of(module) != COLUMNS,
        differentiable=not built.frozen and field_of(module) == IMAGE,
        cuttable=cuttable and not built.frozen,
        has_weights=not built.frozen,
        beheaded=built.beheaded,
        seen="none" if spec.random else built.seen if seen == "unknown" else seen,
        notes=(
            *built.notes,
            *([f"frozen: {built.frozen}"] if built.frozen else []),
            *([f"its weights are unusual: {told(unusual)} ({LIMITS})"] if unusual else []),
        ),
    )


def _digest(spec: Spec, module: nn.Module, root: Path) -> str:
    from transfuse.source.weights import state_digest

    files = [] if spec.random else _files(spec, root)
    if not files:
        return state_digest(module)
    digests = [file_digest(existing(path)) for path in files]
    return digests[0] if len(digests) == 1 else digest(digests)


def _taps(module: nn.Module, prepare: Prepare, canvas: int, where: str) -> tuple[dict[str, Tap], bool]:
    """The taps, and whether the network takes the canvas as it is; else it is resized to the size it was trained at."""
    at_canvas = _look(module, prepare, canvas, where)
    if field_of(module) != IMAGE and not isinstance(at_canvas, UserError):
        count = cells.numbers(prepare.columns)
        return {name: replace(tap, numbers=count) for name, tap in at_canvas.items()} if count else at_canvas, True
    other = prepare.size if prepare.size != canvas else canvas + STEP_PIXELS
    at_other = _look(module, prepare, other, where)
    if not isinstance(at_canvas, UserError) and not isinstance(at_other, UserError):
        return at_canvas, True
    bound = at_canvas if prepare.size == canvas else at_other
    if isinstance(bound, UserError):
        raise bound
    return bound, False


def _ramp(module: nn.Module, prepare: Prepare, side: int) -> Tensor:
    """Two different prepared images, or texts."""
    import torch

    from transfuse.source.door import example

    if field_of(module) != IMAGE:
        return module.door(prepare)(example(field_of(module), ROWS, side))  # pyright: ignore[reportCallIssue]
    parameter = next(iter(module.parameters()), torch.empty(0))
    ramp = torch.linspace(-1, 1, ROWS * prepare.channels * side * side, device=parameter.device)
    return ramp.reshape(ROWS, prepare.channels, side, side)


def _look(module: nn.Module, prepare: Prepare, side: int, where: str) -> dict[str, Tap] | UserError:
    from transfuse.source.taps import find as find_taps

    try:
        return find_taps(module, _ramp(module, prepare, side), where=where)
    except UserError as error:
        return error
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
        what = f"the network does not accept images [N, {prepare.channels}, {side}, {side}]"
        return UserError(what, where=where, got=first_line(error), hint=what_to_state(module))


def _cuts(module: nn.Module, taps: Mapping[str, Tap], prepare: Prepare, side: int) -> tuple[bool, set[str]]:
    """Whether the network's code follows a fixed graph, and the taps where one value crosses.

    Without a graph the outer maps and tokens are tried, one pass each, and at most so many of them.
    """
    from transfuse.source.hooked import by_hooks
    from transfuse.source.trace import cuttable, trace

    if field_of(module) != IMAGE:
        # With the words always crosses which of them are there.
        return False, set()
    blocks = {name: tap for name, tap in taps.items() if tap.kind in ("map", "tokens", "vector") and not tap.pooled}
    try:
        return True, cuttable(trace(module), blocks.values())
    except UserError:
        pass
    if callable(told := getattr(module, "crossings", None)):
        places: set[str] = told()  # pyright: ignore[reportAssignmentType]
        return False, {name for name, tap in blocks.items() if tap.place in places and tap.side == "output"}
    outer = [name for name, tap in blocks.items() if tap.kind != "vector" and tap.place.count(".") < TRIED_DEPTH]
    images = _ramp(module, prepare, side)
    found = set()
    for name in outer[:: -(-len(outer) // TRIED_CUTS) or 1]:
        try:
            by_hooks(module, images, taps[name], taps["logits"], where="")
            found.add(name)
        except (UserError, RuntimeError, TypeError, AttributeError, ValueError, LookupError):
            continue
    return False, found


def open_source(card: Card, *, root: Path, module: nn.Module | None = None) -> Source:
    """The source of a card, in evaluation mode. A given module is copied: training the source leaves it as it was.

    Raises UserError where the weights are not those the card was made of.
    """
    from transfuse.source.base import Source

    if isinstance(module, Source):
        opened = copy.deepcopy(module)
        opened.card = card
        # What is made with it is trained and judged at a canvas of its own.
        opened.canvas = None
        return opened.eval()
    spec = parse(card.spec)
    network = copy.deepcopy(module) if module is not None else find(SHELF, spec.scheme).load().build(spec, root).module
    found = _digest(spec, network, root)
    if found != card.sha256:
        raise UserError(
            "the weights are not those its card was made of",
            where=f"source '{card.name}' ({card.spec})",
            expected=f"SHA-256 {card.sha256}",
            got=found,
            hint="make the card again",
        )
    made = Source(card, network).eval()
    made.files = tuple(path.absolute() for path in _files(spec, root)) if carries(spec) else ()
    return made
