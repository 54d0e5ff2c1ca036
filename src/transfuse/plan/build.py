"""From a ladder to a graph of steps: the one place that knows which step needs what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from transfuse.plan.arms import ArmSpec
from transfuse.plan.attacks import Attack, attack
from transfuse.plan.compressed import KINDS, compressing, counting
from transfuse.plan.exposures import Exposure
from transfuse.plan.graph import Fitting, Given, Ref, Step, Work
from transfuse.plan.merges import merge_files, merge_step
from transfuse.plan.setting import RowBlock, RunRows, Setting
from transfuse.plan.students import streamed, taught
from transfuse.reads import OF_CANVAS, OF_RECIPIENT, RECIPIENT, Read, pools
from transfuse.registry import method

JUDGED = Exposure()
# A pool is fitted to all selection rows, and five times to a part for answers out of fold.
POOL_FITS = 6


@dataclass
class Builder:
    """Adds steps once and hands out their names."""

    setting: Setting
    arms: dict[str, ArmSpec] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)

    def add(self, step: Step) -> str:
        self.steps.setdefault(step.name, step)
        return step.name

    @property
    def common(self) -> dict[str, Any]:
        run = self.setting.recipe.run
        return {
            "canvas": self.setting.canvas,
            "threads": run.threads,
            "precision": run.precision,
            "device": run.device,
        }

    def network(self, arm: ArmSpec) -> tuple[dict[str, Any], dict[str, Ref], tuple[str, ...]]:
        """A network without its names: members by number, what each reads, and the method files it runs."""
        number = {member: index for index, member in enumerate(arm.members)}
        names = number | {RECIPIENT: OF_RECIPIENT, "": OF_CANVAS}
        params = {
            "method": arm.method,
            "settings": dict(arm.settings),
            "reads": [
                [names[read.member], read.tap, read.view, *([] if read.use == "block" else [read.use])]
                for read in arm.reads
            ],
            "random": sorted(names[member] for member in arm.random),
            "merge": None if arm.merge is None else True,
            "classes": list(self.setting.classes),
            **({} if self.setting.recipe.task.kind == "multiclass" else {"task": self.setting.recipe.task.kind}),
        }
        inputs: dict[str, Ref] = {
            f"card{index}": Given(self.setting.card_keys[member]) for member, index in number.items()
        }
        if arm.start:
            params["start"] = number[arm.start]
        if arm.recipient:
            inputs[RECIPIENT] = Given(self.setting.card_keys[RECIPIENT])
        return params, inputs, (method(arm.method).digest, *merge_files(arm.merge))

    def extract(
        self,
        arm: ArmSpec,
        read: Read,
        block: RowBlock,
        *,
        judged: bool,
        exposure: Exposure = JUDGED,
        run: RunRows | None = None,
    ) -> str:
        """Features of one source (or of one merge of sources) at one tap, on one view of one block of rows."""
        made = None if arm.merge is None or run is None else merge_step(self, arm, run)
        members = (read.member,) if made is None else arm.members[:1]
        random = read.member in arm.random
        label = f"{'+'.join(members)}{'~random' if random else ''}.{read.tap}" + (
            f":{read.view}" if read.view != "plain" else ""
        )
        params = {
            **self.common,
            "tap": read.tap,
            "view": read.view,
            "random": random,
            "merge": True if made else None,
            **exposure.params,
        }
        params["pool"] = arm.kind == "train" and pools(method(arm.method))
        items = Given(exposure.items_key or self.setting.items_key)
        inputs: dict[str, Ref] = {"items": items, "rows": Given(block.key)}
        inputs |= {f"card{index}": Given(self.setting.card_keys[member]) for index, member in enumerate(members)}
        inputs |= {} if made is None else {"merged": made}
        label = label if made is None else f"{label} of {made}"
        return self.add(
            Step(
                name=f"extract {label} {block.name}" + ("" if params["pool"] else " unpooled") + exposure.suffix,
                kind="extract",
                params=params,
                inputs=inputs,
                digests=exposure.digests,
                opens_test=judged and exposure.judged,
                arm=label,
                work=Work(members[:1], forward=block.count),
            )
        )

    def features(
        self, arm: ArmSpec, blocks: Iterable[RowBlock], run: RunRows, *, judged: bool, exposure: Exposure = JUDGED
    ) -> dict[str, Ref]:
        """Features by read and block of rows; targets are read where a network is fitted only, the canvas never."""
        wanted = ("block",) if judged else ("block", "target")
        return {
            f"x{index}|{block.name}": self.extract(arm, read, block, judged=judged, exposure=exposure, run=run)
            for index, read in enumerate(arm.reads)
            if read.use in wanted and not read.of_canvas
            for block in blocks
        }

    def fit(self, arm: ArmSpec, run: RunRows, *, after: str = "") -> str:
        """Fit one arm in one run and score the rows that choices and temperature rest on."""
        made = self._fitting(arm, run, after)
        params: dict[str, Any] = {**self.common, "seed": run.seed, "final_fit": run.final_fit, **made.params}
        inputs: dict[str, Ref] = {"items": Given(self.setting.items_key), "rows": Given(run.key)}
        if arm.match:
            inputs["match"] = self.match(arm, after, run)
        inputs |= made.inputs
        if arm.merge is not None:
            inputs["merged"] = merge_step(self, arm, run)
        inputs |= taught(self, arm, run) | streamed(self, arm, run)
        params |= {"stream": arm.stream} if arm.stream else {}
        name = f"fit {arm.name}{after} {run.name}"
        return self.add(Step(name, arm.kind, params, inputs, digests=made.digests, arm=arm.name, work=made.work))

    def _fitting(self, arm: ArmSpec, run: RunRows, after: str) -> Fitting:
        """What this kind of arm is fitted from, beside its run's items and rows."""
        if arm.kind == "pool":
            return self._pooling(arm, run)
        if arm.kind == "train":
            return self._training(arm, run, after)
        if arm.kind == "as_is":
            params = {"classes": list(self.setting.classes)} | ({"columns": list(arm.columns)} if arm.columns else {})
            card = Given(self.setting.card_keys[arm.members[0]])
            return Fitting(params, {**self.features(arm, run.blocks, run, judged=False), "card0": card})
        return compressing(self, arm, run) if arm.kind in KINDS else Fitting()

    def _pooling(self, arm: ArmSpec, run: RunRows) -> Fitting:
        """Its members' own fits; their costs too where the method asks about them."""
        how = method(arm.method)
        inputs: dict[str, Ref] = {
            f"member{index}": self.fit(self.arm(member), run) for index, member in enumerate(arm.members)
        }
        if "about" in how.needs:
            inputs |= {f"cost{index}": self.count(self.arm(name)) for index, name in enumerate(arm.members)}
        pairs = run.held_count * len(self.setting.classes)
        work = Work(seconds=POOL_FITS * how.fit_seconds(len(arm.members), pairs, arm.settings))
        return Fitting({"method": arm.method, "settings": dict(arm.settings)}, inputs, (how.digest,), work)

    def _training(self, arm: ArmSpec, run: RunRows, after: str) -> Fitting:
        """A network and its schedule: on features where its members are frozen, else on canvases."""
        assert arm.schedule is not None  # noqa: S101 - every network has one; for the type checker
        network, inputs, digests = self.network(arm)
        params = network | {"schedule": arm.schedule.record()}
        digests += tuple(entry.digest for entry in arm.schedule.entries)
        lasting = arm.schedule.lasting(run.train_count)
        fits = lasting.tries * lasting.epochs
        forward, backward = fits * run.held_count, fits * run.train_count
        if arm.regime == "frozen":
            inputs |= self.features(arm, run.blocks, run, judged=False)
            steps = fits * -(-run.train_count // arm.schedule.batch)
            work = Work(_run_again(arm), forward, backward, crown=steps, counted=_counted(arm, after))
            return Fitting(params, inputs, digests, work)
        together = self.setting.recipe.run
        params |= {"ranks": together.ranks} if together.ranks > 1 else {}
        params |= {"shard_weights": True} if together.shard_weights else {}
        return Fitting(params | self.refreshed(arm), inputs, digests, Work(arm.members, forward, backward))

    def refreshed(self, arm: ArmSpec) -> dict[str, Any]:
        """The members whose BatchNorms are estimated on the rows before they learn as a whole: where it is asked for
        all, else those that were pruned before anybody had seen rows. A merge is one member."""
        every = arm.schedule is not None and arm.schedule.refresh
        members = arm.members if arm.merge is None else arm.members[:1] if every else ()
        found = [index for index, name in enumerate(members) if every or self.setting.cards[name].compressed]
        known = [index for index in found if members[index] not in arm.random]
        return {"refreshed": known} if known and arm.regime == "full" else {}

    def predict(self, arm: ArmSpec, run: RunRows, *, after: str = "", exposure: Exposure = JUDGED) -> str:
        """Scores of the judged rows, or of whatever else it is exposed to, by a fitted arm."""
        rows, count = exposure.answered(run)
        inputs: dict[str, Ref] = {
            "items": Given(exposure.items_key or self.setting.items_key),
            "rows": Given(rows),
            "fit": self.fit(arm, run, after=after),
        }
        step = self.steps[str(inputs["fit"])]
        inputs |= {
            role: ref for role, ref in step.inputs.items() if role.startswith(("card", "match", "merged", RECIPIENT))
        }
        work = Work()
        if arm.kind == "pool":
            inputs |= {
                f"member{index}": self.predict(self.arm(member), run, exposure=exposure)
                for index, member in enumerate(arm.members)
            }
        elif arm.kind == "as_is" or (arm.kind == "train" and arm.regime == "frozen"):
            inputs |= self.features(arm, exposure.blocks(run), run, judged=True, exposure=exposure)
            work = Work(_run_again(arm), forward=count, counted=_counted(arm, after))
        elif arm.kind in ("train", *KINDS):
            work = Work(arm.members, forward=count)
        return self.add(
            Step(
                name=f"predict {arm.name}{after} {run.name}{exposure.suffix}",
                kind="predict",
                params={**step.params, "kind": arm.kind, **exposure.params},
                inputs=inputs,
                digests=step.digests + exposure.digests,
                opens_test=exposure.judged,
                arm=arm.name,
                work=work,
            )
        )

    def exposed(self, arm: ArmSpec, run: RunRows, exposure: Exposure) -> str:
        """What an arm answers to more than clean judged rows."""
        return (
            attack(self, arm, run, exposure)
            if isinstance(exposure, Attack)
            else self.predict(arm, run, exposure=exposure)
        )

    def match(self, arm: ArmSpec, after: str, run: RunRows) -> str:
        """The step that says what a matched arm must be brought up to; it is added with the choices it follows."""
        return f"match {arm.name}{after}{self.setting.label(run)}"

    def count(self, arm: ArmSpec, *, after: str = "", run: RunRows | None = None) -> str:
        """Parameters and FLOPs of one arm, without training it; a matched arm differs from run to run."""
        if arm.kind in KINDS:
            return self.add(counting(self, arm, run))
        params: dict[str, Any] = {"kind": arm.kind, "canvas": self.setting.canvas}
        inputs: dict[str, Ref] = {}
        digests: tuple[str, ...] = ()
        if arm.kind == "train":
            network, inputs, digests = self.network(arm)
            assert arm.schedule is not None  # noqa: S101 - as above
            params |= network | {"regime": arm.regime, "until": arm.schedule.until}
            if arm.schedule.monte_carlo:
                params["schedule"] = {"monte_carlo": arm.schedule.monte_carlo}
            if arm.match and run is not None:
                inputs["match"] = self.match(arm, after, run)
                after += self.setting.label(run)
        elif arm.kind == "as_is":
            inputs = {"card0": Given(self.setting.card_keys[arm.members[0]])}
        elif arm.kind == "pool":
            inputs = {f"member{index}": self.count(self.arm(member)) for index, member in enumerate(arm.members)}
        return self.add(Step(f"count {arm.name}{after}", "count", params, inputs, digests=digests, arm=arm.name))

    def arm(self, name: str) -> ArmSpec:
        """An arm that always runs, for pools and students that name it."""
        return self.arms[name]


def _counted(arm: ArmSpec, after: str) -> str:
    """The step that counts what is trained on maps or inside the sources: there arithmetic decides, not overhead."""
    return f"count {arm.name}{after}" if arm.kind == "train" and not pools(method(arm.method)) else ""


def _run_again(arm: ArmSpec) -> tuple[str, ...]:
    """The frozen members of which what is trained runs a part: beside low-rank additions, say, or behind a joint."""
    placed = (read.member for read in arm.reads if read.use == "place" and read.member in arm.members)
    return tuple(dict.fromkeys(placed))
