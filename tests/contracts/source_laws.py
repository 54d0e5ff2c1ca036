"""What every source keeps, wherever it comes from: one function a law, each given a fresh source and images."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from transfuse import cells, packed
from transfuse.fusion.saved import load, save
from transfuse.source.base import Source
from transfuse.texts import laid
from transfuse.types import Card

Law = Callable[[Source, Tensor, Path], None]
ALIASES = ("map", "tokens", "vector", "logits")
# Of the largest number: sums of another order of the same terms.
ROUNDING = 1e-5


def images(side: int, rows: int = 4) -> Tensor:
    return torch.rand(rows, 3, side, side, generator=torch.Generator().manual_seed(0))


def texts(rows: int = 4, length: int = 80) -> Tensor:
    """Texts of several lengths as bytes; one has no words at all."""
    said = ["salt and then the oven", "wind", "", "the rope of a boat with an anchor and very little tide again"]
    raws = [np.frombuffer(text.encode(), dtype=np.uint8) for text in said[:rows]]
    return torch.from_numpy(np.stack([np.pad(raw, (0, length - len(raw))) for raw in raws]))


def columns(rows: int = 4) -> Tensor:
    """Cells of rows, some of them missing, one whole row too."""
    said = [{"age": "3", "place": "sea"}, {"age": "", "place": "wood"}, {}, {"age": "-2.5", "place": "moon"}]
    raws = [cells.content(row) for row in said[:rows]]
    return torch.from_numpy(packed.packed({"columns": laid(raws, max(map(len, raws)))}))


def state(source: Source) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in source.state_dict().items()}


def same(source: Source, before: dict[str, Tensor]) -> bool:
    after = source.state_dict()
    return set(after) == set(before) and all(torch.equal(after[name], value) for name, value in before.items())


def blocks(source: Source, x: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return source(x, [name for name in ALIASES if name in source.card.taps])


def assert_close(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name, block in wanted.items():
        most = ROUNDING * max(float(block.abs().max()), 1e-6)
        torch.testing.assert_close(found[name], block, rtol=0, atol=most, msg=lambda text, name=name: f"{name}: {text}")


def blocks_are_what_the_card_says(source: Source, x: Tensor, folder: Path) -> None:
    for name, block in blocks(source, x).items():
        tap = source.card.taps[name]
        wanted = {"map": [tap.width, *tap.size], "tokens": [*tap.size, tap.width]}.get(tap.kind, [tap.width])
        assert list(block.shape) == [len(x), *wanted], name
        assert block.dtype == torch.float32
    assert source.card.taps["logits"].width == source.card.class_count
    assert Card.from_record(source.card.record()) == source.card


def rows_do_not_know_of_each_other(source: Source, x: Tensor, folder: Path) -> None:
    whole = blocks(source, x)
    for rows in (slice(0, 1), slice(1, 4)):
        assert_close(blocks(source, x[rows]), {name: block[rows] for name, block in whole.items()})


def threads_change_nothing(source: Source, x: Tensor, folder: Path) -> None:
    alone = blocks(source, x)
    torch.set_num_threads(2)
    try:
        assert_close(blocks(source, x), alone)
    finally:
        torch.set_num_threads(1)


def evaluating_is_still(source: Source, x: Tensor, folder: Path) -> None:
    before, first = state(source), blocks(source, x)
    assert all(torch.equal(block, first[name]) for name, block in blocks(source, x).items())
    assert same(source, before)
    source.train()
    source.eval()
    assert all(torch.equal(block, first[name]) for name, block in blocks(source, x).items())


def frozen_is_frozen_to_the_bit(source: Source, x: Tensor, folder: Path) -> None:
    first = blocks(source, x)
    source.freeze(None)
    source.train()
    before = state(source)
    head = torch.nn.Linear(source.card.taps["vector"].width, 2)
    head(source(x, ["vector"])["vector"]).square().sum().backward()
    torch.optim.SGD([*source.parameters(), *head.parameters()], 0.1, weight_decay=0.1).step()
    assert same(source, before)
    assert not any(parameter.requires_grad for parameter in source.parameters())
    assert all(torch.equal(block, first[name]) for name, block in blocks(source, x).items())


def gradients_come_through_if_the_card_says_so_and_only_then(source: Source, x: Tensor, folder: Path) -> None:
    # Bytes of texts have no gradient, whatever reads them.
    entered = x.clone().requires_grad_(x.is_floating_point())
    logits = source(entered)
    assert logits.requires_grad == (source.card.differentiable or source.card.trainable)
    assert not (source.card.differentiable and source.card.field != "image")
    learned = [parameter for parameter in source.parameters() if parameter.requires_grad]
    assert bool(learned) == source.card.trainable
    if source.card.trainable:
        logits.square().sum().backward()
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in learned)
    if source.card.differentiable:
        assert entered.grad is not None
        assert entered.grad.any()


def a_trained_step_changes_the_answer(source: Source, x: Tensor, folder: Path) -> None:
    if not source.card.trainable:
        return
    first = source(x)
    first.square().sum().backward()
    torch.optim.SGD(source.parameters(), 0.05).step()
    assert not torch.equal(source(x), first)


def copies_are_apart_and_equal(source: Source, x: Tensor, folder: Path) -> None:
    again = copy.deepcopy(source)
    first = blocks(source, x)
    assert all(torch.equal(block, first[name]) for name, block in blocks(again, x).items())
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.add_(1)
    assert all(torch.equal(block, first[name]) for name, block in blocks(source, x).items())


def what_is_saved_opens_again(source: Source, x: Tensor, folder: Path) -> None:
    if source.card.origin in ("module", "factory"):
        return
    save(source, folder / "saved")
    first = blocks(source, x)
    assert all(torch.equal(block, first[name]) for name, block in blocks(load(folder / "saved"), x).items())


def it_moves_where_there_is_somewhere_to_move(source: Source, x: Tensor, folder: Path) -> None:
    first = source(x).detach()
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    moved = source.to(place)
    found = moved(x.to(place))
    assert found.device.type == place.type
    torch.testing.assert_close(found.detach().cpu(), first, rtol=1e-3, atol=1e-4)


LAWS: tuple[Law, ...] = (
    blocks_are_what_the_card_says, rows_do_not_know_of_each_other, threads_change_nothing, evaluating_is_still,
    frozen_is_frozen_to_the_bit, gradients_come_through_if_the_card_says_so_and_only_then,
    a_trained_step_changes_the_answer, copies_are_apart_and_equal, what_is_saved_opens_again,
    it_moves_where_there_is_somewhere_to_move,
)  # fmt: skip
