"""Statistics estimated anew, and REPAIR: units get their parents' moments, whatever the merge did to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion.repair import mendable, re_estimate, repair


def images(seed=0, count=64):
    return torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def seeded(make, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().eval()


def normed():
    return nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3))


def plain():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 12), nn.ReLU(),
        nn.Linear(12, 3),
    )  # fmt: skip


def test_statistics_are_those_of_the_images_whatever_the_batches():
    x = images()
    for sizes in ([64], [32, 32], [40, 20, 4]):
        net = seeded(normed, 0)
        assert re_estimate(net, torch.split(x, sizes)) == 1
        wanted = net[0](x)
        assert torch.allclose(net[1].running_mean, wanted.mean((0, 2, 3)), atol=1e-5)
        # Each batch has its own mean, so variances come out a little smaller where batches are small.
        assert torch.allclose(net[1].running_var, wanted.var((0, 2, 3)), rtol=1e-5 if len(sizes) == 1 else 0.05)


def test_everything_but_the_statistics_stays():
    net = seeded(normed, 0)
    net[1].num_batches_tracked.fill_(7)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    momentum = net[1].momentum
    re_estimate(net, [images()])
    changed = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["1.running_mean", "1.running_var"]
    assert net[1].momentum == momentum and not any(module.training for module in net.modules())


def test_a_network_without_norms_is_left_alone_and_bad_images_are_refused():
    assert re_estimate(seeded(plain, 0), []) == 0
    net = seeded(normed, 0)
    before = net[1].running_mean.clone()
    with pytest.raises(UserError, match="batches of two"):
        re_estimate(net, [images(count=1)])
    with pytest.raises(UserError, match="NaN"):
        re_estimate(net, [images() * torch.nan])
    assert torch.equal(net[1].running_mean, before)


def averaged(make, shares=(0.5, 0.5)):
    """Two networks that share nothing, and their mean, whose units hardly vary any more."""
    parents = [{name: value.numpy().copy() for name, value in seeded(make, k).state_dict().items()} for k in (1, 2)]
    net = seeded(make, 1)
    mean = {
        name: np.asarray(sum(share * parent[name] for share, parent in zip(shares, parents, strict=True)))
        for name in parents[0]
    }
    own = net.state_dict()
    net.load_state_dict({name: torch.from_numpy(array).to(own[name].dtype) for name, array in mean.items()})
    return net, parents


def moments(net, x, until):
    values = net[:until](x)
    dims = [0, 2, 3] if values.dim() == 4 else [0]
    return torch.stack([values.mean(dims), values.std(dims)])


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.8)])
def test_units_get_their_parents_moments_in_their_shares(shares):
    x = images()
    net, parents = averaged(plain, shares)
    before = moments(net, x, 3)[1].mean()
    found = repair(net, parents, shares, [x])
    assert found.layers == ("0", "2", "5") and dict(found.left) == {"7": "it is the last layer"}
    for until in (1, 3, 6):
        alone = []
        for parent in parents:
            twin = seeded(plain, 0)
            twin.load_state_dict({name: torch.from_numpy(array) for name, array in parent.items()})
            alone.append(moments(twin, x, until))
        wanted = shares[0] * alone[0] + shares[1] * alone[1]
        assert torch.allclose(moments(net, x, until), wanted, atol=1e-3)
    assert moments(net, x, 3)[1].mean() > 1.2 * before


def test_parents_that_are_the_merge_change_nothing():
    net = seeded(plain, 0)
    x, state = images(), {name: value.numpy().copy() for name, value in net.state_dict().items()}
    before = net(x)
    repair(net, [state, state], (1, 3), [x])
    assert torch.allclose(net(x), before, atol=1e-5)
    repair(net, [state, state], (1, 3), [x[:32], x[32:]])
    assert torch.allclose(net(x), before, atol=0.02)


def test_layers_that_a_norm_follows_are_left_to_the_norm():
    net, parents = averaged(normed)
    assert mendable(net) == ([], [("0", "a norm follows it"), ("4", "it is the last layer")])
    assert repair(net, parents, (1, 1), [images()]).norms == 1


@pytest.mark.parametrize("make", [plain, normed])
@pytest.mark.parametrize("late", [False, True])
def test_images_that_a_network_does_not_take_leave_it_as_it_was(make, late):
    net, parents = averaged(make)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    batches = [images(count=4), images(count=4)[:, :, :5]] if late else [images(count=4)[:, :1]]
    asks = [lambda: repair(net, parents, (1, 3), batches)]
    for ask in asks if make is plain else [*asks, lambda: re_estimate(net, batches)]:
        with pytest.raises(RuntimeError):
            ask()
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_unit_that_never_changes_and_a_layer_without_bias_stay_finite():
    def dead():
        return nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))

    net, parents = averaged(dead)
    for state in (*parents, {name: value.numpy() for name, value in net.state_dict().items()}):
        state["0.weight"][0] = 0.0
    repair(net, parents, (1, 1), [images()])
    assert all(bool(value.isfinite().all()) for value in net.state_dict().values())
    assert np.abs(net.state_dict()["0.weight"][0].numpy()).max() == 0
