"""One merge of sources in a run: the one place where lineage, lens, statistics, chooser, method and repair meet.

Images are training rows of the run, never judged ones; coefficients are chosen on its held rows, after repair, so that
what is scored is what is shipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.fusion.aligned import align, aligning
from transfuse.fusion.buffers import Buffers
from transfuse.fusion.learned import Blend
from transfuse.fusion.lineage import lineage
from transfuse.fusion.preflight import START
from transfuse.fusion.repair import batch_norms, re_estimate, repair
from transfuse.fusion.weights_lift import Tensors, carry_out, job
from transfuse.registry import Entry, find, method, shelf
from transfuse.seeds import stream
from transfuse.source.base import Source
from transfuse.source.weights import Reader, StateReader
from transfuse.steps import Context, _networks, table
from transfuse.steps._fitted import fits_of, rows_of
from transfuse.steps._trials import Trials
from transfuse.steps._walked import walked
from transfuse.store import Artifact, Store
from transfuse.train.held import log_loss
from transfuse.types import Card

ROWS, BATCH = 256, 64
# Where weights are shares none is negative; where they scale changes, a little beyond one may be best.
SHARES, SCALES = (0.0, 1.0), (0.0, 1.5)


@dataclass(frozen=True)
class Merging:
    """Sources, images for what needs images, and what the recipe says of the merge."""

    merge: Mapping[str, Any]
    sources: Mapping[str, Source]
    base: Source | None
    images: Tensor
    held: tuple[Tensor, np.ndarray]
    classes: Sequence[str]
    seed: int
    memory: Trials = field(default_factory=lambda: Trials(Store(Path()), ""))

    @classmethod
    def of(cls, params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Merging:
        """The merge of a step's inputs."""
        from transfuse.steps._canvases import canvases

        found = _networks.cards(inputs)
        opened = [_networks.source(card, context) for card in found]
        base = _networks.source(Card.from_record(inputs["base"].meta), context) if "base" in inputs else None
        read = canvases(params, inputs["items"], context)
        fit, held = fits_of(rows_of(inputs))[0]
        # Held rows are looked at only where something is chosen on them.
        merge = params["merge"]
        scored = isinstance(merge["weights"], str) and not _learns(merge["weights"])
        wanted = held if scored else _spread(held, ROWS) if merge.get("path") else held[:0]
        return cls(
            merge,
            dict(zip(_networks.member_names(found), opened, strict=True)),
            base,
            torch.from_numpy(read(_spread(fit, ROWS))),
            (torch.from_numpy(read(wanted)) if len(wanted) else torch.empty(0), _targets(inputs, wanted)),
            params["classes"],
            params["seed"],
            Trials.of(context),
        )

    @property
    def first(self) -> Source:
        return next(iter(self.sources.values()))

    @property
    def entry(self) -> Entry:
        return method(self.merge["method"])

    def batches(self, source: Source) -> list[Tensor]:
        """Training images as a source's network takes them."""
        return [source.prepared(part) for part in torch.split(self.images, BATCH) if len(part) > 1]

    def collected(self, need: str) -> dict[str, dict[str, np.ndarray]]:
        """A statistic of every member, and of the base where there is one, each on the images as it wants them."""
        entry = find("fusion/statistics", need)
        every = {**self.sources, **({START: self.base} if self.base is not None else {})}
        settings = entry.settings({})
        return {
            name: entry.load().collect(source.network, self.batches(source), stream(self.seed, need), **settings)
            for name, source in every.items()
        }

    def made(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The merged tensors, and what is told of them."""
        readers: dict[str, Reader] = {name: source.weights() for name, source in self.sources.items()}
        # The first source's network is where merges are tried: what it was before is kept apart.
        own = {name: value.detach().clone() for name, value in self.first.network.state_dict().items()}
        readers[next(iter(readers))] = StateReader(own, self.first.where)
        base = None if self.base is None else self.base.weights()
        before = lineage(readers, base)
        stats: dict[str, Mapping[str, Tensors]] = {need: self.collected(need) for need in self.entry.needs}
        told: dict[str, Any] = {"method": self.entry.full_name, "verdict": before.verdict, "why": before.why}
        told |= {"lineage": before.record(), "align": "", "moved": {}}
        if self.merge["align"] != "none":
            lens = aligning(self.merge["align"])
            given = {need: self.collected(need) for need in lens.needs}
            example = self.first.prepared(self.images[:8])
            networks = {name: source.network for name, source in self.sources.items()}
            turned = align(
                lens,
                self.first.network,
                readers,
                example,
                base=base,
                stat=given,
                seed=self.seed,
                networks=networks,
            )
            readers, after = turned.members, lineage(turned.members, base)
            stats = {need: turned.statistics(need, of) for need, of in stats.items()}
            told |= {"align": lens.name, "moved": turned.moved, "verdict": after.verdict}
            told |= {"gaps": turned.gaps} if turned.gaps else {}
            told["why"] = f"after alignment {after.why}; before, {before.why}"
        work = Work(self, readers, base, stats)
        weights = self.merge["weights"]
        if self.merge.get("path") and len(readers) == 2:
            told["path"] = walked(self, readers)
        if isinstance(weights, str) and _learns(weights):
            chosen, losses, state, mended = work.learned(shelf("choosers")[weights])
            told |= {"learned_by": weights, "weights": chosen, "losses": losses}
            return state, told | mended
        if isinstance(weights, str):
            chosen, losses = work.choose(weights)
            told |= {"chosen_by": weights, "weights": chosen, "tried": len(losses), "losses": losses}
            weights = [chosen[name] for name in self.sources]
        state, mended = work.merged(weights)
        return state, told | mended

    def logits(self, images: Tensor) -> Tensor:
        """The first source's own answers for the target's classes."""
        source = self.first
        if not set(self.classes) <= set(source.card.classes):
            raise UserError(
                "a merge is scored by the sources' own head, and it does not name the target's classes",
                where=f"source '{source.card.name}'",
                hint="give the weights as numbers, and no path",
            )
        columns = [source.card.classes.index(name) for name in self.classes]
        return source.blocks(images, ["logits"])["logits"][:, columns]


@dataclass(frozen=True)
class Work:
    """Merging these readers with any weights, repaired and scored."""

    of: Merging
    readers: Mapping[str, Reader]
    base: Reader | None
    stats: Mapping[str, Mapping[str, Tensors]]

    def merged(self, weights: Sequence[float] | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The merged state, repaired as the recipe says; the first source's network holds it afterwards."""
        merge, network = self.of.merge, self.of.first.network
        task = job(
            self.of.entry,
            self.readers,
            weights=weights,
            base=self.base,
            settings=merge["settings"],
            seed=self.of.seed,
            buffers=Buffers(merge["statistics"], merge["counters"]),
            stats=self.stats,
        )
        own = network.state_dict()
        made = {name: np.empty(task.first.meta(name)[0], own[name].numpy().dtype) for name in task.first.names()}
        carry_out(task, lambda name: made[name].reshape(-1))
        network.load_state_dict({name: torch.from_numpy(array) for name, array in made.items()})
        told = self._repaired(weights)
        return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}, told

    def _repaired(self, weights: Sequence[float] | None) -> dict[str, Any]:
        network, how = self.of.first.network, self.of.merge["repair"]
        if how == "none" or (how == "auto" and not batch_norms(network)):
            return {"norms": 0, "repaired": 0, "rows": 0}
        batches = self.of.batches(self.of.first)
        rows = sum(len(batch) for batch in batches)
        if how == "auto":
            return {"norms": re_estimate(network, batches), "repaired": 0, "rows": rows}
        parents = [{name: np.asarray(reader.read(name)) for name in reader.names()} for reader in self.readers.values()]
        shares = np.maximum(np.ones(len(parents)) if weights is None else np.asarray(weights), 0.0)
        found = repair(network, parents, shares.tolist() if shares.any() else [1.0] * len(parents), batches)
        return {"norms": found.norms, "repaired": len(found.layers), "rows": rows}

    def learned(self, entry: Entry) -> tuple[dict[str, float], list[float], dict[str, np.ndarray], dict[str, Any]]:
        """Coefficients by a chooser that learns, what it lowered by pass, the merge there, and what was mended.

        Coefficients of layers are told by their means. Running statistics start as the first member's.
        """
        settings, network = entry.settings(self.of.merge.get("chooser", {})), self.of.first.network
        layers = settings.pop("layers")
        states = [
            {name: torch.from_numpy(np.array(reader.read(name))) for name in reader.names()} for reader in self.all
        ]
        blend = Blend(
            self.of.entry,
            network,
            states[: len(self.readers)],
            states[-1] if self.base is not None else None,
            layer_of=(lambda name: name.rpartition(".")[0]) if layers else lambda name: "",
            settings=self.of.merge["settings"],
        )
        batches = self.of.batches(self.of.first)
        losses = entry.load().learn(blend, batches, self.of.merge["tries"], **settings)
        with torch.no_grad():
            network.load_state_dict({name: value.detach().clone() for name, value in blend.merged().items()})
        weights = blend.coefficients.detach().double().mean(dim=0).tolist()
        told = self._repaired([max(weight, 0.0) for weight in weights])
        state = {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}
        return dict(zip(self.of.sources, weights, strict=True)), losses, state, told

    @property
    def all(self) -> list[Reader]:
        """The members, and the base after them where there is one."""
        return [*self.readers.values(), *([self.base] if self.base is not None else [])]

    def choose(self, name: str) -> tuple[dict[str, float], list[float]]:
        """Coefficients by a chooser, with every loss that it saw on the held rows."""
        scales = self.of.entry.traits.get("weights") == "scales"
        space = dict.fromkeys(self.of.sources, SCALES if scales else SHARES)
        losses: list[float] = []

        def score(values: Mapping[str, float]) -> float:
            weights = [values[member] for member in self.of.sources]
            if not scales and sum(weights) <= 1e-12:
                return float("inf")
            known = self.of.memory.recall(len(losses), values)
            if known is None:
                self.merged(weights)
                loss = self.loss()
                known = {"loss": loss if np.isfinite(loss) else None}
                self.of.memory.keep(len(losses), values, known)
            losses.append(float("inf") if known["loss"] is None else float(known["loss"]))
            return losses[-1]

        entry = shelf("choosers")[name]
        settings = entry.settings(self.of.merge.get("chooser", {}))
        rng = stream(self.of.seed, "choose", name)
        return entry.load().choose(space, score, self.of.merge["tries"], rng, **settings), losses

    def loss(self) -> float:
        """Mean negative log-probability of the held rows by the merge's own head."""
        images, targets = self.of.held
        with torch.no_grad():
            parts = [self.of.logits(part) for part in torch.split(images, BATCH)]
        return log_loss(torch.cat(parts).float().cpu().numpy(), targets)


def _learns(chooser: str) -> bool:
    return bool(shelf("choosers")[chooser].traits.get("learns"))


def _targets(inputs: Mapping[str, Artifact], rows: np.ndarray) -> np.ndarray:
    return table(inputs["items"]).targets()[rows]


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, spread evenly."""
    ordered = np.sort(rows)
    return ordered[:: max(1, -(-len(ordered) // most))]
