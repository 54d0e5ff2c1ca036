"""What every hidden unit does on the same images: the rows by which units of two networks can be matched.

    a [M, n] for each of the places that show a part's units: n units on M positions of the images, at most `rows`

The places come from the trace of the network, so networks of one architecture have the same. In evaluation mode.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, fx, nn

CITATION = "Li et al., Convergent learning, ICLR 2016"
PARAMETERS = {
    "rows": {"type": "int", "default": 2048, "low": 2, "high": 10_000_000, "doc": "positions kept of each place"},
    "places": {"type": "int", "default": 4, "low": 1, "high": 1000, "doc": "values looked at for each part"},
}


def collect(
    network: nn.Module, batches: Iterable[Tensor], rng: np.random.Generator, rows: int = 2048, places: int = 4
) -> dict[str, np.ndarray]:
    """{`PART|PLACE`: [M, n] float32} from batches [N, ...] that the network takes as they are."""
    from transfuse.source.hidden_units.groups import find_groups
    from transfuse.source.taps import still
    from transfuse.source.trace import trace

    given = list(batches)
    groups = find_groups(network, given[0])
    wanted = {
        f"{part}|{number}": place
        for part, shown in groups.places.items()
        for number, place in enumerate(shown[:: -(-len(shown) // places)])
    }
    kept: dict[str, list[np.ndarray]] = {key: [] for key in wanted}
    with still(network), torch.no_grad():
        graph = fx.GraphModule(network, trace(network).graph)
        for batch in given:
            values = _Watched(graph, {place.node for place in wanted.values()})
            values.run(batch)
            for key, place in wanted.items():
                size = groups.size(int(key.split("|")[0])) * place.repeat
                shown = values.seen[place.node].movedim(place.dim, -1)[..., place.begin : place.begin + size]
                flat = shown.reshape(-1, size // place.repeat, place.repeat).mean(dim=2)
                step = max(1, -(-len(flat) * len(given) // rows))
                kept[key].append(flat[::step].float().cpu().numpy())
    return {key: np.concatenate(parts) for key, parts in kept.items()}


class _Watched(fx.Interpreter):
    """One pass that keeps the values of some nodes, copied, since later layers may change them in place."""

    def __init__(self, graph: fx.GraphModule, nodes: set[str]) -> None:
        super().__init__(graph)
        self.nodes = nodes
        self.seen: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.name in self.nodes and isinstance(value, Tensor):
            self.seen[n.name] = value.clone()
        return value
