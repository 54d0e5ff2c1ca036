"""What each compression does to a network: exact at nothing, smaller by what it says, and clear where it cannot."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from transfuse.compress import Rows, quantise, rows_of
from transfuse.compress import _checks as checks
from transfuse.compress._graph import Logits
from transfuse.compress._lift import compressed, stored_bytes
from transfuse.compress.drop_branch import shapley
from transfuse.errors import UserError
from transfuse.fusion.graph import export, program_of
from transfuse.fusion.rounded import Rounded, RoundedLinear
from transfuse.registry import find


def made(method: str, **settings):
    return compressed(find("compress", method), checks.example(), checks.example_rows(), settings).model


def answers(model) -> torch.Tensor:
    with torch.no_grad():
        return model(checks._images(1)[0])


@pytest.mark.parametrize("method", ["prune", "magnitude"])
def test_nothing_taken_away_is_the_network_itself(method):
    found, wanted = made(method, ratio=0.0), checks.example()
    assert all(torch.equal(value, wanted.state_dict()[name]) for name, value in found.state_dict().items())
    assert torch.equal(answers(found), answers(wanted))


def test_more_pruning_leaves_less_and_half_the_channels_about_a_quarter_of_the_inner_weights():
    sizes = [stored_bytes(made("prune", ratio=ratio)) for ratio in (0.0, 0.25, 0.5, 0.9)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4
    before, after = checks.example().member("residual"), made("prune").member("residual")
    inner = {name: value for name, value in before.network.named_parameters() if value.dim() == 4}
    # The first layer keeps its input, the last its output; the rest loses half on both sides.
    shapes = {name: tuple(value.shape) for name, value in after.network.named_parameters()}
    halved = [name for name, value in inner.items() if shapes[name][:2] == tuple(-(-n // 2) for n in value.shape[:2])]
    assert len(halved) >= len(inner) // 2
    assert after.card.tap("vector").width == before.card.tap("vector").width
    assert after.card.parameters < before.card.parameters


def test_channels_of_least_weight_go_and_the_others_keep_their_numbers():
    before, after = checks.example().member("depthwise").network, made("prune").member("depthwise").network
    kept = {tuple(row.flatten().tolist()) for row in after[0][0].weight}
    every = [tuple(row.flatten().tolist()) for row in before[0][0].weight]
    assert kept < set(every) and len(kept) == len(every) // 2


@pytest.mark.parametrize("by", ["magnitude", "taylor"])
def test_channels_that_say_nothing_leave_without_a_trace(by):
    model = checks.example()
    with torch.no_grad():
        for layer in model.members.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight[1::2] = 0
                if layer.groups == 1 and layer.in_channels > 1:
                    layer.weight[:, 1::2] = 0
            elif isinstance(layer, torch.nn.BatchNorm2d):
                for values in (layer.weight, layer.bias, layer.running_mean):
                    values[1::2] = 0
    model.settle(checks._images(0)[0])
    found = compressed(find("compress", "prune"), model, checks.example_rows(), {"by": by})
    assert found.told["moved"] < 1e-5 and found.told["stored_bytes"] < 0.6 * found.told["stored_bytes_before"]
    assert torch.allclose(answers(found.model), answers(model), rtol=1e-2, atol=1e-2)


def test_one_branch_alone_can_be_pruned_or_be_left_out():
    found, before = made("prune", branch="residual"), checks.example()
    assert found.member("residual").card.parameters < before.member("residual").card.parameters
    assert found.member("depthwise").card.parameters == before.member("depthwise").card.parameters
    alone = made("drop_branch", by="name", branch="residual")
    assert alone.names == ("depthwise",) and set(alone.absent) == {"residual"}
    # What stands in for it is its mean: 0 after the joint, whatever the image.
    with torch.no_grad():
        joined = alone.crown.joined(alone.member_blocks(checks._images(1)[0]))
    assert torch.equal(joined[0], torch.zeros_like(joined[0])) and bool(joined[1].any())


def test_what_lacks_a_branch_can_be_traced_for_any_number_of_images():
    alone = made("drop_branch", by="name", branch="depthwise")
    program, _ = program_of(alone, checks.SIDE, Logits(alone))
    images = checks._images(1)[0][:3]
    with torch.no_grad():
        assert torch.allclose(program.module()(images), alone(images), atol=1e-4)


def test_bfloat16_has_no_onnx_form_and_says_so(tmp_path):
    with pytest.raises(UserError, match="torch_export"):
        export(made("bfloat16"), "onnx", checks.SIDE, tmp_path / "m.onnx", {})


def test_shapley_values_are_the_mean_gain_over_all_orders_of_arrival():
    names = ("a", "b", "c")
    worth = {
        frozenset(each): float(number * number + len(each))
        for number, each in enumerate(itertools.chain.from_iterable(itertools.combinations(names, k) for k in range(4)))
    }
    found = shapley(names, lambda present: -worth[frozenset(present)])
    for name in names:
        gains = []
        for order in itertools.permutations(names):
            before = frozenset(order[: order.index(name)])
            gains.append(worth[before | {name}] - worth[before])
        assert found[name] == pytest.approx(sum(gains) / math.factorial(3))
    assert sum(found.values()) == pytest.approx(worth[frozenset(names)] - worth[frozenset()])


def test_the_branch_that_says_nothing_is_the_one_that_goes():
    model, canvas = checks.example(), checks._images(0)[0]
    with torch.no_grad():
        for each in model.member("residual").parameters():
            each.zero_()
        model.settle(canvas)
        rows = rows_of(canvas, model(canvas).argmax(dim=1))
    found = compressed(find("compress", "drop_branch"), model, rows, {}).model
    assert found.names == ("depthwise",)


def test_zeros_are_as_many_as_asked_and_the_smallest():
    before, after = checks.example(), made("magnitude", ratio=0.4)
    pairs = [
        (mine.weight, theirs.weight)
        for mine, theirs in zip(after.modules(), before.modules(), strict=True)
        if isinstance(mine, torch.nn.Conv2d)
    ]
    new, old = (torch.cat([weight.detach().flatten() for weight in side]) for side in zip(*pairs, strict=True))
    gone = (new == 0) & (old != 0)
    assert float(old[gone].abs().max()) < float(old[~gone].abs().min())
    assert stored_bytes(after) == stored_bytes(before)


def test_a_branch_that_does_not_bear_rounding_keeps_its_floats():
    """What is to spare lies below both rises, between the two, or above them."""
    heard, rises = [], {"residual": 0.3, "depthwise": 0.001}
    rows = Rows(checks.SIDE, emit=lambda event, **told: heard.append((event, told)))
    assert quantise._insensitive(rises, 0.1, rows) == ("depthwise",)
    assert quantise._insensitive(rises, 0.5, rows) == ()
    assert [each for _, each in heard] == [
        {"int8": ["depthwise"], "float32": ["residual"]},
        {"int8": ["residual", "depthwise"], "float32": []},
    ]
    with pytest.raises(UserError, match=r"every branch loses more[\s\S]*residual \+0\.3"):
        quantise._insensitive(rises, 1e-4, rows)


def test_a_graph_is_made_of_the_branches_that_bear_it(monkeypatch):
    """Planted rises; tracing and rounding are left out, which is asked of each branch alone first."""
    rises, asked = {"residual": 0.3, "depthwise": 0.001}, []
    monkeypatch.setattr(quantise, "_rise", lambda model, rows, name, graph: rises[name])
    monkeypatch.setattr(quantise, "onnx_of", lambda model, side: b"")
    monkeypatch.setattr(quantise, "Graphed", lambda card, graph, kind: graph)
    monkeypatch.setattr(quantise, "quantiser", lambda: SimpleNamespace(quant_pre_process=lambda *given, **more: None))
    monkeypatch.setattr(quantise._Quantiser, "graph", lambda self, branches: asked.append(branches) or branches)
    given = {"bits": 8, "calibrate": "minmax", "reduced": True, "branch": "", "sensitivity": False}
    model, rows = checks.example(), checks.example_rows()
    assert quantise.compress(model, rows, **given, spare=0.1) == ("depthwise",)
    assert asked == [("residual",), ("depthwise",), ("depthwise",)]
    assert (
        quantise.compress(model, rows, **given, spare=0.5) == quantise.compress(model, rows, **given, spare=0.0) == ()
    )
    assert quantise.compress(model, rows, **{**given, "branch": "residual"}, spare=0.0) == ("residual",)


def test_layers_of_some_branches_are_those_that_stand_on_their_weights_alone(tmp_path):
    onnx = pytest.importorskip("onnx")
    names = ("a", "b", "c")
    nodes = [onnx.helper.make_node("Mul", ["x", f"model.members.{name}.w"], [name], name=name) for name in names]
    nodes.append(onnx.helper.make_node("Add", ["a", "b"], ["ab"], name="joined"))
    weights = [onnx.helper.make_tensor(f"model.members.{name}.w", 1, [1], [1.0]) for name in names]
    graph = onnx.helper.make_graph(nodes, "g", [], [], initializer=weights)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "g.onnx")
    assert quantise._layers(tmp_path / "g.onnx", ("a",)) == ["a"]
    assert quantise._layers(tmp_path / "g.onnx", ("a", "b")) == ["a", "b"]


def test_bfloat16_is_the_rounded_weight():
    before, after = checks.example().member("residual").network, made("bfloat16").source.member("residual").network
    weight = next(each.weight for each in after.modules() if isinstance(each, torch.nn.Conv2d))
    same = next(each.weight for each in before.modules() if isinstance(each, torch.nn.Conv2d))
    assert weight.dtype == torch.bfloat16 and torch.equal(weight.float(), same.to(torch.bfloat16).float())


def test_rounded_weights_are_off_by_half_a_step_at_most_and_attention_keeps_its_own():
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(7, 5), torch.randn(4, 7)
    rounded = RoundedLinear(layer)
    kept = rounded.weight.float() * rounded.scale[:, None]
    step = layer.weight.detach().abs().amax(dim=1) / 127
    assert rounded.weight.dtype == torch.int8 and torch.allclose(rounded.scale, step)
    assert bool(((kept - layer.weight).abs() <= step[:, None] / 2 + 1e-7).all())
    assert torch.allclose(rounded(x), torch.nn.functional.linear(x, kept, layer.bias))
    block = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    source = checks.example().member("residual")
    source.network.add_module("block", block)
    Rounded(source)
    assert isinstance(block.linear1, RoundedLinear) and type(block.self_attn.out_proj) is not RoundedLinear


@pytest.mark.parametrize(
    ("method", "settings", "says"),
    [
        ("prune", {"ratio": 1.0}, "ratio must be a number from 0 to 0.95"),
        ("quantise", {"bits": 3}, "bits must be 8, got 3"),
        ("prune", {"branch": "lite0"}, "no such branch"),
        ("quantise", {"branch": "lite0"}, "unknown branch"),
        ("quantise", {"branch": "residual", "spare": 0.1}, "`spare` chooses among the branches"),
        ("drop_branch", {"branch": "residual"}, "by: name"),
    ],
)
def test_what_cannot_be_asked_is_said(method, settings, says):
    with pytest.raises(UserError, match=says):
        made(method, **settings)


@pytest.mark.parametrize(("method", "settings"), [("prune", {"by": "taylor"}), ("quantise", {}), ("drop_branch", {})])
def test_without_rows_nothing_is_calibrated(method, settings):
    with pytest.raises(UserError, match="nothing to calibrate on"):
        compressed(find("compress", method), checks.example(), Rows(checks.SIDE), settings)


def test_absent_packages_are_named_with_their_extra(monkeypatch):
    for package, method in (("torch_pruning", "prune"), ("onnxruntime", "quantise")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(UserError, match=r"transfuse\[compress\]"):
            made(method)


def test_a_branch_without_norms_cannot_be_told_by_them():
    model = checks.example()
    for each in model.member("depthwise").network.modules():
        for name, child in each.named_children():
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(each, name, torch.nn.Identity())
    with pytest.raises(UserError, match="has no BatchNorm"):
        compressed(find("compress", "prune"), model, checks.example_rows(), {"by": "norm"})
