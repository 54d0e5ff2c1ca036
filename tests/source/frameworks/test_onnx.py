"""ONNX sources: the numbers of the network they came from, trained where that is sound, else frozen and said so."""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import pytest
import torch

from source.onnx_files import CLASSES, PREPARE, SIDE, network, write
from transfuse.errors import UnsafeFileError, UserError
from transfuse.fusion.saved import load, save
from transfuse.source.blank import blank_source
from transfuse.source.frameworks import onnx_equal
from transfuse.source.open import make_card, open_source
from transfuse.source.spec import random_twin
from transfuse.steps.count import forward_flops, used_parameters


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def opened(path: Path, options: str = ""):
    card = make_card("it", f"onnx:{path.name}{options}", root=path.parent, canvas=SIDE, prepare=PREPARE)
    return open_source(card, root=path.parent)


def plain(images):
    return network()(2 * images - 1)


@pytest.mark.parametrize("kind", [{}, {"last": True}, {"softmax": True}])
def test_a_graph_gives_the_scores_of_the_network_it_stands_for_and_trains(tmp_path, images, kind):
    source = opened(write(tmp_path / "m.onnx", network(), **kind))
    torch.testing.assert_close(source(images), plain(images), rtol=0, atol=1e-5)
    card = source.card
    assert (card.trainable, card.differentiable, card.has_weights, card.cuttable) == (True,) * 4
    assert (card.taps["vector"].width, card.taps["map"].kind, card.class_count) == (8, "map", CLASSES)
    assert card.parameters == sum(parameter.numel() for parameter in network().parameters())
    source(images).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in source.parameters())
    assert any("softmax" in note for note in card.notes) == bool(kind.get("softmax"))


def test_what_pytorch_cannot_express_answers_through_onnxruntime_frozen_and_says_why(tmp_path, images):
    source = opened(write(tmp_path / "m.onnx", network(), branch=True))
    card = source.card
    assert not (card.trainable or card.differentiable or card.has_weights or card.cuttable)
    assert "holds a graph of its own" in card.notes[-1]
    torch.testing.assert_close(source(images), plain(images), rtol=0, atol=1e-5)
    blocks = source(images, ["map", "vector", "logits"])
    torch.testing.assert_close(blocks["vector"], network()[:6](2 * images - 1), rtol=0, atol=1e-5)
    torch.testing.assert_close(blocks["map"], network()[:4](2 * images - 1), rtol=0, atol=1e-5)
    assert not source(images.clone().requires_grad_()).requires_grad
    with pytest.raises(UserError, match="cannot be trained"):
        opened(tmp_path / "m.onnx", "?runtime=torch")


def test_both_runtimes_give_one_answer_at_one_counted_cost(tmp_path, images):
    path = write(tmp_path / "m.onnx", network())
    free, frozen = opened(path), opened(path, "?runtime=onnxruntime")
    torch.testing.assert_close(free(images), frozen(images), rtol=0, atol=1e-5)
    by_hand = 2 * (64 * 6 * 27 + 64 * 8 * 54 + 8 * CLASSES)
    assert forward_flops(free, images[:1]) == forward_flops(frozen, images[:1]) == by_hand
    assert forward_flops(frozen, images) == 3 * by_hand
    # The file's two numbers for a shape are stored too.
    assert used_parameters(frozen, images) == used_parameters(free, images) + 2
    again = copy.deepcopy(frozen)
    assert torch.equal(again(images), frozen(images))


def test_a_converter_that_errs_is_found_out(tmp_path, images, monkeypatch):
    """Planted: one weight of the converted network is off."""

    def off(graph):
        made = real(graph)
        with torch.no_grad():
            next(made.parameters()).view(-1)[0] += 0.05
        return made

    real = onnx_equal.converted
    monkeypatch.setattr(onnx_equal, "converted", off)
    source = opened(write(tmp_path / "m.onnx", network()))
    assert not source.card.trainable
    assert "differ" in source.card.notes[-1]
    torch.testing.assert_close(source(images), plain(images), rtol=0, atol=1e-5)


def test_a_graph_for_one_batch_size_is_refused_with_the_way_out(tmp_path):
    path = write(tmp_path / "m.onnx", network(), fixed=True)
    with pytest.raises(UserError, match="one batch size"):
        opened(path)
    with pytest.raises(UserError, match="one batch size"):
        opened(path, "?runtime=onnxruntime")


def test_graphs_that_reach_out_of_their_file_are_refused(tmp_path):
    with pytest.raises(UnsafeFileError, match=r"evil\.ops"):
        opened(write(tmp_path / "m.onnx", network(), domain="evil.ops"))
    model = onnx.load(write(tmp_path / "n.onnx", network()))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsafeFileError, match="other files"):
        opened(tmp_path / "n.onnx")


def test_what_the_file_states_of_itself_is_read_and_without_it_preparing_must_be_stated(tmp_path, images):
    words = {"mean": 0.5, "std": 0.5, "classes": ["a", "b", "c"], "licence": "MIT", "seen": "none"}
    write(tmp_path / "m.onnx", network(), words=words)
    card = make_card("it", "onnx:m.onnx", root=tmp_path, canvas=SIDE)
    assert (card.prepare.size, card.prepare.mean, card.classes) == (SIDE, (0.5,) * 3, ("a", "b", "c"))
    assert (card.licence, card.seen) == ("MIT", "none")
    write(tmp_path / "n.onnx", network())
    with pytest.raises(UserError, match="nobody states how"):
        make_card("it", "onnx:n.onnx", root=tmp_path, canvas=SIDE)
    with pytest.raises(UserError, match="unknown runtime"):
        opened(tmp_path / "n.onnx", "?runtime=tensorrt")
    with pytest.raises(UserError, match="unknown output"):
        opened(tmp_path / "n.onnx", "?output=other")


def test_a_graph_that_was_exported_here_states_all_by_itself(tmp_path, images):
    path = write(tmp_path / "m.onnx", network(), softmax=True)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"classes": '["a", "b", "c"]', "canvas": str(SIDE), "made_by": "transfuse 0"})
    path.write_bytes(model.SerializeToString())
    card = make_card("it", "onnx:m.onnx", root=tmp_path, canvas=SIDE)
    assert (card.classes, card.prepare.mean, card.prepare.size) == (("a", "b", "c"), (0.0,) * 3, SIDE)
    torch.testing.assert_close(open_source(card, root=tmp_path)(images), network()(images), rtol=0, atol=1e-5)


def test_a_graph_starts_again_from_other_draws_and_has_no_twin_by_name(tmp_path, images):
    source = opened(write(tmp_path / "m.onnx", network()))
    fresh = [blank_source(source.card, root=tmp_path, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(fresh[0](images), fresh[1](images))
    assert not torch.allclose(fresh[0](images), fresh[2](images))
    assert not torch.allclose(fresh[0](images), source(images))
    with pytest.raises(UserError, match="no random twin"):
        random_twin("onnx:m.onnx")


def test_a_saved_model_takes_the_file_along(tmp_path, images):
    """Trained or frozen, it opens where the first file is gone, and gives what it gave."""
    (tmp_path / "here").mkdir()
    path = write(tmp_path / "here" / "m.onnx", network())
    for options in ("", "?runtime=onnxruntime"):
        source = opened(path, options)
        with torch.no_grad():
            for parameter in source.parameters():
                parameter.add_(0.1)
        save(source, tmp_path / f"saved{len(options)}")
        before = source(images)
        (tmp_path / "moved").mkdir(exist_ok=True)
        there = (tmp_path / f"saved{len(options)}").rename(tmp_path / "moved" / f"saved{len(options)}")
        assert torch.equal(load(there)(images), before)


def test_a_changed_file_is_not_opened_under_the_old_card(tmp_path):
    card = opened(write(tmp_path / "m.onnx", network())).card
    write(tmp_path / "m.onnx", network(1))
    with pytest.raises(UserError, match="not those its card"):
        open_source(card, root=tmp_path)
