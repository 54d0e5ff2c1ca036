"""Checkpoints as training tools leave them: under any ending, with prefixes, with a head of another width."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from transfuse.errors import UnsafeFileError, UserError
from transfuse.plan.retention import has_head
from transfuse.registry import find
from transfuse.source.blank import blank_source
from transfuse.source.open import make_card
from transfuse.source.spec import SHELF, Built, parse
from transfuse.types import Card

NAME = "test_vit"


def network(classes: int) -> dict[str, Tensor]:
    import timm

    torch.manual_seed(classes)
    return timm.create_model(NAME, pretrained=False, num_classes=classes).state_dict()


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return network(1000)


def built(path: Path, form: str = "file", options: str = "") -> Built:
    text = f"file:{path}?arch=timm:{NAME}{options}" if form == "file" else f"timm:{NAME}?checkpoint={path}{options}"
    spec = parse(text)
    return find(SHELF, spec.scheme).load().build(spec, path.parent)


def whole_network(state: dict[str, Tensor], path: Path, form: str) -> torch.nn.Module:
    torch.save(state, path)
    return built(path, form).module


def same(module: torch.nn.Module, state: dict[str, Tensor]) -> bool:
    own = module.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[name], state[name]) for name in own)


@pytest.mark.parametrize("name", ["last.ckpt", "pytorch_model.bin", "model_best.pth.tar", "weights", "epoch=3.th"])
def test_the_name_of_a_file_is_no_reason(name: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"model": state, "epoch": 3, "optimizer": {}}, tmp_path / name)
    found = find(SHELF, "file").load()
    spec = parse(f"file:{tmp_path / name}?arch=timm:{NAME}")
    assert same(found.build(spec, tmp_path).module, state)


def test_what_torch_never_wrote_is_no_weight_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 an image")
    with pytest.raises(UserError, match=r"this is no weight file(.|\n)*torch\.save") as caught:
        built(tmp_path / "a.jpg")
    assert not isinstance(caught.value, UnsafeFileError)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.ckpt")
    with pytest.raises(UnsafeFileError, match=r"Linear(.|\n)*state_dict"):
        built(tmp_path / "whole.ckpt")


def test_a_part_of_a_larger_module_is_found_by_its_names(state: dict[str, Tensor], tmp_path: Path) -> None:
    held = {f"net.{name}": tensor for name, tensor in state.items()} | {"loss.weight": torch.ones(3)}
    torch.save({"state_dict": held, "pytorch-lightning_version": "2"}, tmp_path / "a.ckpt")
    found = built(tmp_path / "a.ckpt")
    assert same(found.module, state)
    assert found.notes == ("its weights are those under 'net.' of the file; 1 other tensors of the file were left out",)


def test_two_parts_that_fit_are_no_choice_of_ours(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(
        {f"{part}.{name}": tensor for part in ("net", "ema") for name, tensor in state.items()}, tmp_path / "a.pt"
    )
    with pytest.raises(UserError, match=r"do not fit(.|\n)*is missing"):
        built(tmp_path / "a.pt")


@pytest.mark.parametrize("form", ["file", "timm"])
def test_the_file_says_how_many_classes_its_head_has(form: str, tmp_path: Path) -> None:
    seven = network(7)
    torch.save(seven, tmp_path / "a.pt")
    assert same(built(tmp_path / "a.pt", form).module, seven)
    with pytest.raises(UserError, match=r"has the shape \[7(.|\n)*expected \[5"):
        built(tmp_path / "a.pt", form, "&classes=5")


def test_only_a_head_may_have_another_width(state: dict[str, Tensor], tmp_path: Path) -> None:
    for change in ({"head.weight": state["head.weight"][:7, :3]}, {"patch_embed.proj.bias": torch.ones(3)}):
        torch.save(network(7) | change, tmp_path / "a.pt")
        with pytest.raises(UserError, match="do not fit"):
            built(tmp_path / "a.pt")


@pytest.mark.parametrize("form", ["file", "timm"])
def test_a_backbone_without_a_classifier_gives_features(form: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    bare = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    torch.save({"teacher": {}, "state_dict": bare}, tmp_path / "a.pt")
    found = built(tmp_path / "a.pt", form)
    assert same(found.module, bare) and found.module.headless
    assert found.notes == ("the file holds no classifier ('head'): it is a source of features",)
    whole = whole_network(state, tmp_path / "b.pt", form)
    whole.set_submodule("head", torch.nn.Identity())
    images = torch.randn(2, 3, 160, 160)
    assert torch.equal(found.module.eval()(images), whole.eval()(images))


@pytest.mark.parametrize("lacking", [("head.weight",), ("head.", "norm."), ("norm.",)])
def test_what_lacks_more_or_less_than_the_classifier_is_damaged(
    lacking: tuple[str, ...], state: dict[str, Tensor], tmp_path: Path
) -> None:
    part = {name: tensor for name, tensor in state.items() if not name.startswith(lacking)}
    torch.save(part, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"do not fit(.|\n)*is missing"):
        built(tmp_path / "a.pt")


@pytest.mark.parametrize("classes", [0, 7, 1000])
def test_the_untrained_twin_has_the_head_that_the_file_has_and_needs_no_file(classes: int, tmp_path: Path) -> None:
    state = network(classes or 1000)
    kept = {name: tensor for name, tensor in state.items() if classes or not name.startswith("head.")}
    torch.save(kept, tmp_path / "a.pt")
    card = make_card("a", f"file:a.pt?arch=timm:{NAME}", root=tmp_path, canvas=32, prepare={"size": 160, "mean": 0.5})
    assert (card.class_count, has_head(card)) == ((classes, True) if classes else (64, False))
    (tmp_path / "a.pt").unlink()
    # So a shipped model is made again, to be filled with what was learned.
    twin = blank_source(Card.from_record(card.record()), root=tmp_path).network.state_dict()
    assert {name: tensor.shape for name, tensor in twin.items()} == {name: each.shape for name, each in kept.items()}
    assert not torch.equal(twin["patch_embed.proj.weight"], kept["patch_embed.proj.weight"])


def test_weights_without_a_scheme_are_told_theirs() -> None:
    with pytest.raises(UserError, match=r"try: .*file:a/b\.pth\?arch=torchvision:NAME"):
        parse("a/b.pth")
    with pytest.raises(UserError, match=r"takes no checkpoint(.|\n)*try: file:a\.pth\?arch=torchvision:resnet18"):
        parse("torchvision:resnet18?checkpoint=a.pth")
