"""Arms that lend no gradient, or answer by chance, are attacked all the same; what cannot be is undefined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transfuse.conditions import under
from transfuse.conditions._ways import DRAWS, Expected, Guided, by_chance, seeded
from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.fusion.connect import connect
from transfuse.fusion.contract import About
from transfuse.fusion.pooled import Pool
from transfuse.reads import Read
from transfuse.registry import method
from transfuse.source.base import Source
from transfuse.source.open import make_card, open_source
from transfuse.steps import Context, _model
from transfuse.steps._attacked import attacked, forward_of
from transfuse.store import Store

SIDE, RADIUS, COUNT = 8, 0.3, 6


class Smooth(nn.Module):
    """Two layers on pooled pixels; with `noise` it answers otherwise each time, with `steps` it rounds its input."""

    def __init__(self, seed: int, noise: float = 0.0, steps: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inner, self.head = nn.Linear(3 * SIDE * SIDE, 16), nn.Linear(16, 3)
        with torch.no_grad():
            self.head.weight.mul_(8.0)
        self.noise, self.steps = noise, steps

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        x = (x * self.steps).round().detach() / self.steps if self.steps else x
        found = self.head(torch.tanh(self.inner(x)))
        return found + self.noise * torch.randn(len(x), 3) if self.noise else found


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def canvas() -> Tensor:
    return torch.rand(COUNT, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Store(tmp_path / "store"), Path())


def source(name: str, module: nn.Module, *, blind: bool = False) -> Source:
    card = make_card(name, module.eval(), root=Path(), canvas=SIDE)
    made = open_source(card, root=Path(), module=module)
    made.card = replace(made.card, classes=("a", "b", "c"), differentiable=not blind)
    return made.eval()


def fitted(context: Context, key: str, kind: str, *members: str) -> str:
    """A fit in the store, as far as an attack looks at it."""
    keys = {f"member{place}": member for place, member in enumerate(members)}
    context.store.put(key, {"kind": kind, "made_of": {"keys": keys}})
    return key


def kept(made_against, arm: Source, canvas: Tensor, name: str = "fgsm") -> float:
    """The share of an arm's own answers that an attack leaves."""
    with torch.no_grad():
        targets = seeded(forward_of(arm), canvas, "clean").argmax(dim=1).numpy()
    ids = [str(row) for row in range(len(canvas))]
    found = under(name, RADIUS, canvas.numpy(), targets=targets, ids=ids, forward=made_against)
    with torch.no_grad():
        after = seeded(forward_of(arm), torch.from_numpy(found), "answered")
    return float((after.argmax(dim=1).numpy() == targets).mean())


def test_an_arm_with_a_gradient_is_attacked_through_itself(context, canvas):
    arm = source("one", Smooth(0))
    made_against, words = attacked("unasked", arm, context, canvas, gradient=True)
    assert words == "itself"
    assert not isinstance(made_against, Guided)
    assert torch.equal(made_against(canvas), arm(canvas))


def pooled(context: Context, name: str, members: list[Source], canvas: Tensor) -> tuple[str, Source]:
    """A pool that was fitted to what its members' mean says of these canvases."""
    keys = [fitted(context, f"m{place}", "train") for place in range(len(members))]
    scores = np.stack([torch.softmax(member(canvas), dim=1).detach().double().numpy() for member in members])
    about = About(np.ones((len(members), 3), dtype=bool), np.ones(len(members)))
    state = outputs_lift.fit(method(name), scores, scores.mean(axis=0).argmax(axis=1), {}, about)
    return fitted(context, "pool", "pool", *keys), Pool("pool", members, name, state).eval()


@pytest.mark.parametrize("name", ["outputs/vote", "outputs/mean_prob", "outputs/cascade"])
def test_votes_means_and_cascades_fall_though_no_gradient_comes_through_them(context, canvas, name):
    """Climbed is the mean of the members' probabilities, asked is the pool."""
    members = [source(name, Smooth(seed)) for seed, name in enumerate("xyz")]
    key, arm = pooled(context, name, members, canvas)
    made_against, words = attacked(key, arm, context, canvas, gradient=True)
    assert isinstance(made_against, Guided)
    assert words.startswith("the mean of its members' probabilities")
    torch.testing.assert_close(made_against(canvas), arm(canvas))
    wanted = torch.stack([member(canvas).softmax(dim=1) for member in members]).mean(dim=0)
    torch.testing.assert_close(made_against.guide(canvas).exp(), wanted, atol=1e-6, rtol=1e-5)
    assert kept(made_against, arm, canvas) < 0.7


def test_a_rounded_network_is_attacked_through_what_it_was_compressed_from(context, canvas, monkeypatch):
    """Alone it stands as if nothing were near; guided it falls as its float form does."""
    whole, rounded = source("whole", Smooth(0)), source("int8", Smooth(0, steps=40), blind=True)
    opened = {"whole": whole}
    monkeypatch.setattr(_model, "opened", lambda key, context, name: opened[key])
    key = fitted(context, "int8", "compress", "whole")
    made_against, words = attacked(key, rounded, context, canvas, gradient=True)
    assert words == "what it was compressed from (itself)"
    assert isinstance(made_against, Guided)
    with pytest.raises(UserError, match="no gradient"):
        kept(forward_of(rounded), rounded, canvas)
    assert kept(made_against, rounded, canvas) <= kept(forward_of(whole), whole, canvas) + 0.1


def test_a_fusion_with_a_foreign_source_is_attacked_through_the_others(context, canvas):
    foreign, own = source("foreign", Smooth(0, steps=40), blind=True), source("own", Smooth(1))
    members = {"foreign": foreign, "own": own}
    reads = [Read("foreign", "vector"), Read("own", "vector")]
    arm = connect("features/concat", members, reads, ["a", "b", "c"], seed=0).eval()
    with torch.no_grad():
        arm.crown.head.weight.copy_(4 * torch.randn(3, 32, generator=torch.Generator().manual_seed(0)))
    made_against, words = attacked(fitted(context, "fused", "train"), arm, context, canvas, gradient=True)
    assert words == "itself through own only, since no gradient comes through foreign"
    assert kept(made_against, arm, canvas) < 1.0


@pytest.mark.parametrize("kind", ["foreign", "pool"])
def test_where_no_gradient_comes_from_anywhere_the_attack_is_undefined_and_squares_are_not(context, canvas, kind):
    blind = [source(name, Smooth(seed, steps=40), blind=True) for seed, name in enumerate("xy")]
    key, arm = (fitted(context, "as_is", "as_is"), blind[0])
    if kind == "pool":
        key, arm = pooled(context, "outputs/vote", blind, canvas)
    with pytest.raises(UserError, match="no gradient"):
        attacked(key, arm, context, canvas, gradient=True)
    made_against, words = attacked(key, arm, context, canvas, gradient=False)
    assert words == "itself"
    assert kept(made_against, arm, canvas, "square") < 1.0


def test_a_pool_says_how_many_of_its_members_lend_a_gradient(context, canvas):
    members = [source("x", Smooth(0)), source("y", Smooth(1, steps=40), blind=True)]
    _, words = attacked(*pooled(context, "outputs/vote", members, canvas), context, canvas, gradient=True)
    assert "(1 of 2)" in words


def test_a_random_network_is_attacked_through_the_mean_of_its_draws(context, canvas):
    """One draw's slope is mostly noise of where the answer stands; the mean over draws is the arm's own."""
    arm, still = source("noisy", Smooth(0, noise=3.0)), source("still", Smooth(0))
    made_against, words = attacked("unasked", arm, context, canvas, gradient=True)
    assert isinstance(made_against, Expected)
    assert f"averaged over {DRAWS} draws" in words
    state = torch.get_rng_state()
    assert kept(made_against, arm, canvas, "fgsm") < 0.7
    assert torch.equal(state, torch.get_rng_state())
    wide = Expected(forward_of(arm), draws=150)(canvas)
    noise = 3.0 * torch.randn(150, 3, generator=torch.Generator().manual_seed(1))
    wanted = (still(canvas)[:, None] + noise).softmax(dim=2).mean(dim=1)
    torch.testing.assert_close(wide.exp(), wanted, atol=0.15, rtol=0.0)


def test_draws_are_the_same_for_the_same_attack_and_new_at_every_call(canvas):
    noisy = Smooth(0, noise=1.0)
    first, again = Expected(noisy, 3), Expected(noisy, 3)
    one, other = first(canvas), first(canvas)
    assert torch.equal(one, again(canvas))
    assert not torch.equal(one, other)
    assert by_chance(noisy, canvas)
    assert not by_chance(Smooth(0), canvas)


def test_the_mean_slope_over_draws_is_that_of_the_mean():
    """Two logits whose difference has the slope 1 ± 2 at 0: log-probability rises by half the mean slope."""

    def forward(x: Tensor) -> Tensor:
        slope = 1.0 + 2.0 * torch.randn(())
        return torch.stack([slope * x.flatten(1).sum(dim=1), torch.zeros(len(x))], dim=1)

    x = torch.zeros(1, 3, 2, 2, requires_grad=True)
    (found,) = torch.autograd.grad(Expected(forward, draws=120)(x)[:, 0].sum(), x)
    torch.testing.assert_close(found, torch.full_like(x, 0.5), atol=0.3, rtol=0.0)


@pytest.mark.exhaustive
def test_a_network_that_onnxruntime_runs_in_eight_bits_falls_as_its_float_form_does(context, canvas, monkeypatch):
    from transfuse.compress import rows_of
    from transfuse.compress._lift import compressed

    whole = source("whole", Smooth(0))
    int8 = compressed(method("compress/quantise"), whole, rows_of(canvas, torch.zeros(COUNT)), {}).model
    monkeypatch.setattr(_model, "opened", lambda key, context, name: whole)
    key = fitted(context, "int8", "compress", "whole")
    made_against, words = attacked(key, int8, context, canvas, gradient=True)
    assert words == "what it was compressed from (itself)"
    assert kept(made_against, int8, canvas) < 0.7
