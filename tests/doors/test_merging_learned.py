"""`transfuse.merge(weights="adamerging")`: coefficients from images alone, on modules only."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import transfuse
from transfuse.errors import UserError

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))


def network(sharp: float) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        made[3].weight.mul_(sharp)
    return made


def certainty(made: nn.Module) -> float:
    return float(torch.softmax(made(X), dim=1).max(dim=1).values.mean().detach())


def test_coefficients_go_to_the_member_whose_answers_are_certain():
    sure, unsure = network(20.0), network(1.0)
    plain = transfuse.merge("weights/mean", [sure, unsure], data=[X])
    learned = transfuse.merge("weights/mean", [sure, unsure], weights="adamerging", data=[X])
    assert certainty(learned) > certainty(plain) + 0.005
    assert torch.equal(learned[0].weight, sure[0].weight)
    again = transfuse.merge("weights/mean", [sure, unsure], weights="adamerging", data=[X])
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in learned.state_dict().items())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weights": "adamerging"}, "(?s)adamerging needs modules and some images.*no data"),
        ({"weights": "greedy_soup", "data": [X]}, "scores merges on labelled rows"),
        ({"weights": "adamergin", "data": [X]}, "adamerging"),
    ],
)
def test_what_cannot_learn_is_refused(more, message):
    with pytest.raises(UserError, match=message):
        transfuse.merge("weights/mean", [network(1.0), network(2.0)], **more)
