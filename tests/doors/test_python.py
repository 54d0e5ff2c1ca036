"""The verbs in Python: modules in, a Study out; networks, merges and judgements that stand alone."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import transfuse
from transfuse.doors.study import Study
from transfuse.errors import UserError


def images(count: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright bar whose side tells the class."""
    rng = np.random.default_rng(seed)
    pixels = rng.random((count, 12, 12)).astype(np.float32) * 0.4
    labels = np.arange(count) % 3
    for row, label in enumerate(labels):
        pixels[row, :, 4 * label : 4 * label + 4] += 0.25
    return pixels, labels


class Small(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Linear(width * 36, 5)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A whole comparison of two modules on arrays, small enough for a test."""
    folder = tmp_path_factory.mktemp("python")
    torch.manual_seed(0)
    sources = {"narrow": Small(2), "wide": Small(6)}
    quick = {"frozen": {"epochs": 3, "rates": [0.01], "least_steps": 30}}
    return transfuse.compare(
        sources,
        images(),
        out=folder / "out",
        candidates=["features/concat"],
        ladder="quick",
        train=quick,
        run={"store": str(folder / "store")},
    )


def test_compare_recommends_one_arm(study):
    assert study.winner in {row["arm"] for row in study.table()}
    assert study.verdict["recommendation"]["why"]


def test_a_small_set_is_cross_fitted_and_every_row_is_judged(study):
    assert study.record["setup"]["protocol"] == "crossfit"
    assert study.record["setup"]["data"]["judged"] == 120


def test_modules_are_flagged_when_nobody_says_what_they_saw(study):
    assert "unseen_unknown" in {flag["flag"] for flag in study.verdict["flags"]}


def test_the_table_has_a_row_for_every_judged_arm(study):
    rows = {row["arm"]: row for row in study.table()}
    assert {"prior", "frozen/narrow", "frozen/wide", "ensemble"} <= set(rows)
    assert rows["prior"]["accuracy"] < rows["frozen/wide"]["accuracy"]


def test_a_cell_of_the_table_is_what_one_row_of_evidence_says_of_all_judged_rows(study):
    own = [row for row in study.evidence if row["versus"] is None and row["id"].endswith(":test:clean")]
    told = {(row["arm"], row["quantity"]): row.get("value") for row in own}
    cost = {key for arm in study.record["arms"] for key in arm["cost"] or {}}
    cells = {(row["arm"], name): row[name] for row in study.table() for name in row.keys() - {"arm", "role"} - cost}
    assert cells == {place: told[place] for place in cells} and len(cells) > 40
    # A branch alone, or the most confident part of the items, is no fact of the arm as a whole.
    assert {"branch_solo", "risk_at_coverage"} <= {row["quantity"] for row in study.evidence} - {
        name for _, name in cells
    }


def test_the_verbs_are_seen_before_they_are_fetched():
    code = (
        "import transfuse; assert {*transfuse.__all__} <= {*dir(transfuse)}; import sys; print('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_study_names_itself_in_one_short_line(study):
    said = repr(study)
    assert said == f"<Study: ship {study.winner}, {len(study.verdict['claims'])} claims, in '{study.folder}'>"
    assert repr(Study({})) == "<Study: of a record that no run wrote>"
    assert repr([Study(study.record)]) == f"[{said.partition(', in ')[0]}>]"


def test_no_room_of_the_house_hides_a_verb():
    """A subpackage of a verb's name would take its place once something had been imported from it."""
    rooms = {module.name for module in pkgutil.iter_modules(transfuse.__path__)}
    assert rooms & set(transfuse.__all__) == set()


@pytest.mark.parametrize(("verb", "place"), [("compare", "run.run.run"), ("choose", "run.choosing.choose")])
def test_both_verbs_take_the_same_forms_of_a_source(verb, place, monkeypatch):
    asked = []

    class EnoughError(Exception):
        pass

    def stop(request, *_):
        asked.append(request)
        raise EnoughError

    monkeypatch.setattr(f"transfuse.{place}", stop)
    fresh, known, own = Small(2), Small(6), Small(4)
    sources = {"fresh": fresh, "known": {"spec": known, "seen": "none"}, "file": "demo:vgg"}
    with pytest.raises(EnoughError):
        getattr(transfuse, verb)(sources, images(), recipient=own)
    (request,) = asked
    assert request.modules == {"fresh": fresh, "known": known, "recipient": own}
    assert {name: (entry.spec, entry.seen) for name, entry in request.recipe.entries.items()} == {
        "fresh": ("module:fresh", "unknown"),
        "known": ("module:known", "none"),
        "file": ("demo:vgg", "unknown"),
        "recipient": ("module:recipient", "none"),
    }


@pytest.mark.parametrize(
    ("source", "got", "hint"),
    [(Small, "the class Small", "Small(...), an instance of it"), (images, "function", None), (3, "int", None)],
)
def test_what_is_no_network_is_one_message(source, got, hint):
    for ask in (
        lambda: transfuse.compare({"mine": source}, images()),
        lambda: transfuse.choose({"mine": {"spec": source}}, images()),
        lambda: transfuse.fuse({"mine": source}, "features/concat", classes=2, canvas=12),
        lambda: transfuse.compare({"a": "demo:vgg"}, images(), recipient=source),
    ):
        with pytest.raises(UserError, match="is no network") as found:
            ask()
        assert (found.value.got, found.value.hint) == (got, hint)


def test_a_report_can_be_written_anywhere(study, tmp_path):
    assert "<html" in study.report(tmp_path / "r.html").read_text(encoding="utf-8")
    assert study.report(tmp_path / "r.md").read_text(encoding="utf-8").startswith("# ")


def test_load_gives_the_study_back(study):
    assert transfuse.load(study.folder).record == study.record


def test_a_model_of_modules_needs_them_again(study):
    with pytest.raises(UserError, match="given again"):
        transfuse.load(study.model_folder)
    model = study.model(modules={"narrow": Small(2), "wide": Small(6)})
    assert model(torch.rand(2, 3, 12, 12)).shape == (2, 3)


def test_fuse_gives_a_network_for_your_own_loop():
    torch.manual_seed(0)
    network = transfuse.fuse([Small(2), Small(3)], "features/gate", classes=4, canvas=12, width=8)
    canvas = torch.rand(6, 3, 12, 12, requires_grad=True)
    before = [parameter.clone() for parameter in network.parameters()]
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(2):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(canvas), torch.arange(6) % 4).backward()
        optimiser.step()
    assert canvas.grad is not None
    moved = [not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]
    assert sum(moved) >= len(moved) - 4  # the members' own classifiers are not part of it


def test_a_fusion_is_fused_once_more():
    first = transfuse.fuse({"a": Small(2), "b": Small(3)}, "features/concat", classes=["x", "y"], canvas=12)
    second = transfuse.fuse(
        {"first": first, "c": Small(4)}, "features/concat", classes=3, canvas=12, taps={"first": "fused"}
    )
    assert second(torch.rand(2, 3, 12, 12)).shape == (2, 3)


def test_fuse_leaves_the_given_modules_and_the_random_state_alone():
    module, state = Small(2), torch.get_rng_state()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = transfuse.fuse([module], "features/concat", classes=2, canvas=12)
    nn.functional.cross_entropy(network(torch.rand(2, 3, 12, 12)), torch.tensor([0, 1])).backward()
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    torch.set_rng_state(state)


def test_merge_gives_the_kind_it_was_given():
    first, second = Small(2), Small(2)
    merged = transfuse.merge("weights/mean", [first, second], weights=[3, 1])
    assert isinstance(merged, Small)
    expected = 0.75 * first.classifier.weight + 0.25 * second.classifier.weight
    torch.testing.assert_close(merged.classifier.weight, expected)
    states = transfuse.merge("weights/mean", {"a": first.state_dict(), "b": second.state_dict()})
    assert set(states) == set(first.state_dict())


def test_merge_keeps_half_precision_and_counters():
    layers = [nn.BatchNorm1d(3).bfloat16() for _ in range(2)]
    layers[1].num_batches_tracked += 7
    merged = transfuse.merge("weights/mean", {"a": layers[0], "b": layers[1]})
    assert merged.weight.dtype == torch.bfloat16
    assert int(merged.num_batches_tracked) == 7


@pytest.mark.parametrize(
    ("sources", "weights", "word"),
    [
        ([Small(2), Small(3)], None, "features.0.weight"),
        ([Small(2), Small(2)], [1, -1], "sum to zero"),
        ([Small(2), Small(2)], [1], "one finite weight per source"),
        ([Small(2), 3], None, "modules and state dicts"),
    ],
)
def test_wrong_merges_are_refused(sources, weights, word):
    named = dict(zip("ab", sources, strict=True))
    with pytest.raises(UserError, match=word):
        transfuse.merge("weights/mean", named, weights=weights)


def test_evaluate_judges_arrays_without_a_model(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    good = np.eye(3)[labels] * 2 + rng.normal(size=(300, 3))
    bad = np.eye(3)[labels] * 0.5 + rng.normal(size=(300, 3))
    study = transfuse.evaluate({"good": good, "bad": bad}, labels, candidate="good", scale="logit")
    (claim,) = [claim for claim in study.verdict["claims"] if claim["quantity"] == "log_loss"]
    assert (claim["arm"], claim["versus"], claim["status"]) == ("good", "bad", "better")
    assert study.write(tmp_path).is_file()
    kept = (tmp_path / "evidence.json").read_bytes()
    (tmp_path / "recipe.lock.yaml").write_text("sources: {}", encoding="utf-8")
    with pytest.raises(UserError, match="holds a run, whose evidence would be replaced"):
        study.write(tmp_path)
    assert (tmp_path / "evidence.json").read_bytes() == kept


def test_the_verbs_stay_verbs_after_everything_is_imported():
    import transfuse.evaluation.case
    import transfuse.fusion.fused

    assert callable(transfuse.evaluate)
    assert callable(transfuse.fuse)


def test_sources_without_names_of_their_own_must_be_named():
    with pytest.raises(UserError, match="same name"):
        transfuse.fuse(["demo:vgg", "demo:vgg"], "features/concat", classes=2, canvas=28)


def test_load_of_an_empty_folder_says_what_it_expected(tmp_path):
    with pytest.raises(UserError, match="neither a run nor a model"):
        transfuse.load(tmp_path)


def test_merge_aligns_and_estimates_statistics_on_data():
    import copy

    from transfuse.demo.networks import build
    from transfuse.fusion.turning import drawn, turned
    from transfuse.seeds import stream
    from transfuse.source.hidden_units.groups import find_groups

    net, images = build("residual").eval(), torch.rand(6, 1, 12, 12)
    groups = find_groups(net, images)
    turn, twin = drawn(groups, stream("python")), copy.deepcopy(net)
    state = {name: torch.from_numpy(turned(groups, turn, name, v.numpy())) for name, v in net.state_dict().items()}
    twin.load_state_dict(state)
    merged = transfuse.merge("weights/mean", [net, twin], align="weight_matching", data=images)
    assert torch.allclose(merged.features[0].weight, net.features[0].weight, atol=1e-6)
    wanted = net.features[0](images).mean((0, 2, 3))
    assert torch.allclose(merged.features[1].running_mean, wanted, atol=1e-5)
    assert not net.features[1].running_mean.any()
    fisher = transfuse.merge("weights/fisher", [net, twin], data=images)
    assert all(value.isfinite().all() for value in fisher.state_dict().values())


def test_images_beside_state_dicts_that_need_none_are_refused():
    state = torch.nn.Linear(3, 2).state_dict()
    with pytest.raises(UserError, match="would change nothing"):
        transfuse.merge("weights/mean", {"a": state, "b": state}, data=torch.rand(2, 3))


def test_what_needs_networks_or_images_says_so():
    net = torch.nn.Linear(3, 2)
    with pytest.raises(UserError, match="(?s)needs modules and some images.*no data"):
        transfuse.merge("weights/mean", [net, net], align="weight_matching")
    with pytest.raises(UserError, match="(?s)weights/fisher needs modules.*state dicts"):
        state = net.state_dict()
        transfuse.merge("weights/fisher", {"a": state, "b": state}, data=torch.rand(2, 3))
