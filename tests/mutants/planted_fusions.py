"""Faults of fusing blocks and predictions: changes of the text of a method, each with the law that must catch it."""

from __future__ import annotations

from mutants.planted_weights import Fault

ALL = "torch.cat(list(blocks), dim=1)"
PROJECTED = f"self.project({ALL})"
DROPPED = f"return self.dropout({PROJECTED})"
WIDTH = "self.width = project or total"
MASK = "self.dropout = nn.Dropout(dropout)"


def concat(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, "fusion/features/concat.py", law, changes, "features/concat")


def gate(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, "fusion/features/gate.py", law, changes, "features/gate")


def share(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, "fusion/structure/share.py", law, changes, "structure/share")


def pool(name: str, law: str, *changes: tuple[str, str]) -> Fault:
    return Fault(name, "fusion/outputs/mean_prob.py", law, changes, "outputs/mean_prob")


SOFTMAX = f"torch.softmax(self.gate({ALL}), dim=1)"
WEIGHED = "(torch.stack(hidden, dim=1) * self.shares(blocks)[:, :, None]).sum(dim=1)"
FEATURES = [
    concat(
        "ignores the last source",
        "gradients",
        (DROPPED, f"return self.dropout({PROJECTED} * (torch.arange(self.width) < self.width - 4))"),
    ),
    concat("batch statistics", "rows_alone", (DROPPED, f"x = {PROJECTED}\n        return x - x.mean(dim=0)")),
    concat("rows sorted", "rows_permute", (DROPPED, f"return {PROJECTED}.sort(dim=0).values")),
    concat("wrong width", "declared_width", (WIDTH, "self.width = total + 1")),
    concat("two sources or none", "declared_width", (DROPPED, f"blocks[1]\n        return self.dropout({PROJECTED})")),
    concat(
        "in place on a block",
        "blocks_stay",
        (DROPPED, f"blocks[0].clamp_(-0.5, 0.5)\n        return self.dropout({PROJECTED})"),
    ),
    concat("dropout in evaluation", "steady", (DROPPED, f"return nn.functional.dropout({PROJECTED}, 0.5, True)")),
    concat(
        "a statistic in evaluation",
        "steady",
        (MASK, f'{MASK}\n        self.register_buffer("seen", torch.zeros(1))'),
        (DROPPED, f"self.seen += len(blocks[0])\n        return self.dropout({PROJECTED})"),
    ),
    concat(
        "drawn numbers in no file",
        "state_is_whole",
        (MASK, f"{MASK}\n        self.mix = torch.randn(total, total)"),
        (DROPPED, f"return self.dropout(self.project({ALL} @ self.mix))"),
    ),
    concat(
        "divides by the norm",
        "flat_blocks",
        (DROPPED, f"x = {PROJECTED}\n        return x / x.norm(dim=1, keepdim=True)"),
    ),
    concat("lazy about its head", "honest", ('"convex_head": True', '"convex_head": False')),
    concat("claims any order", "source_order", ('"symmetric": False', '"symmetric": True')),
    concat(
        "a setting that is no argument",
        "parameters",
        ('"dropout": {"type"', '"drop": {"type"'),
        ("dropout: float)", "dropout: float = 0.0)"),
    ),
    gate("shares not normalised", "shares_on_simplex", (SOFTMAX, f"torch.sigmoid(self.gate({ALL}))")),
    gate(
        "shares over the batch",
        "rows_alone",
        (SOFTMAX, SOFTMAX.replace("dim=1)", "dim=0)").replace("blocks), dim=0", "blocks), dim=1")),
    ),
    gate("mean instead of weighted", "gradients", (WEIGHED, "torch.stack(hidden, dim=1).mean(dim=1)")),
    gate("a dead parameter", "gradients", (MASK, f"{MASK}\n        self.spare = nn.Linear(2, 2)")),
    gate(
        "one start for all seeds",
        "seeded",
        ("self.width = width\n", "self.width = width\n        torch.manual_seed(0)\n"),
    ),
    gate("claims a convex problem", "only_the_head_learns", ('"convex_head": False', '"convex_head": True')),
    Fault(
        "fitted to the first rows only",
        "fusion/features/pca_concat.py",
        "fitted_once",
        (("wide = block.double()", "wide = block[: len(block) // 2].double()"),),
        "features/pca_concat",
    ),
    Fault(
        "each grid twice the one before",
        "fusion/features/pyramid.py",
        "any_grid_of_maps",
        (("interpolate(above, size=grid)", "interpolate(above, scale_factor=2)"),),
        "features/pyramid",
    ),
]

MAPS = "maps = [joint(as_map(block)) for joint, block in zip(self.joints, blocks, strict=True)]"
RESIZED = "entry if entry.shape[-2:] == side else functional.interpolate(entry, size=side)"
STRUCTURE = [
    share("ignores the last source", "gradients", (MAPS, f"{MAPS}\n        maps[-1] = maps[-1].detach() * 0")),
    share(
        "batch statistics",
        "rows_alone",
        ("nn.GroupNorm(groups, width)", "nn.BatchNorm2d(width, track_running_stats=False)"),
    ),
    share("in place on a block", "blocks_stay", (MAPS, f"blocks[0].relu_()\n        {MAPS}")),
    share("one grid only", "any_grid", (RESIZED, "entry[:, :, :4, :4]")),
    share("halves to nothing", "any_grid", ("min(x.shape[-2:]) >= 4", "min(x.shape[-2:]) >= 1")),
    share("constant on small grids", "any_grid", ("nn.GroupNorm(groups, width)", "nn.GroupNorm(width, width)")),
    share("wrong width", "declared_width", ("self.width = width\n", "self.width = width + 1\n")),
    share("wants averaged maps", "reads_maps", ('"accepts": "any"', '"accepts": "vector"')),
    Fault(
        "takes the tail for its own",
        "fusion/structure/stitch.py",
        "sources_stay",
        (("self.tail = enter.to(None)", 'self.tail = enter.to(None).__dict__["part"]'),),
        "structure/stitch",
    ),
]

POOLED = "return probabilities.mean(axis=0)"
NOTHING = "return {}"
MEAN = "probabilities.mean(axis=0)"


def normalised(expression: str) -> str:
    return f"p = {expression}\n    return p / p.sum(axis=1, keepdims=True)"


LOGS = "np.exp(np.log({}).mean(axis=0))"
OUTPUTS = [
    pool("unnormalised", "probability_vector", (POOLED, "return probabilities.sum(axis=0)")),
    pool("first member only", "heard", (POOLED, "return probabilities[0]")),
    pool(
        "ignores the last member",
        "heard",
        (POOLED, "return probabilities[: max(1, len(probabilities) - 1)].mean(axis=0)"),
    ),
    pool("geometric without a floor", "certain_members", (POOLED, normalised(LOGS.format("probabilities")))),
    pool(
        "geometric, claims to be convex",
        "between",
        (POOLED, normalised(LOGS.format("np.clip(probabilities, 1e-15, 1)"))),
    ),
    pool("largest of all", "between", (POOLED, normalised("probabilities.max(axis=0)"))),
    pool(
        "divides by how often a class is",
        "absent_class",
        (NOTHING, 'return {"often": np.bincount(targets, minlength=probabilities.shape[2])}'),
        (POOLED, normalised(f'{MEAN} / state["often"]')),
    ),
    pool("fitted on the rows it judges", "rows_alone", (POOLED, normalised(f"{MEAN} / {MEAN}.mean(axis=0)"))),
    pool(
        "state moved by what it judges",
        "state_apart",
        (NOTHING, 'return {"seen": np.zeros(1)}'),
        (POOLED, f'state["seen"] += len(probabilities[0])\n    {POOLED}'),
    ),
    pool(
        "in place on the members",
        "state_apart",
        (POOLED, f"probabilities[0] = {MEAN}\n    return probabilities[0].copy()"),
    ),
    pool("draws from the global state", "fit_pure", (NOTHING, f"np.random.rand()\n    {NOTHING}")),
    pool(
        "mean instead of weighted",
        "state_is_used",
        (NOTHING, 'return {"w": probabilities[:, np.arange(len(targets)), targets].mean(axis=1)}'),
    ),
    pool("state that no file holds", "state_can_be_written", (NOTHING, 'return {"how": np.array(["mean"])}')),
    pool(
        "prefers the first class",
        "relabelled",
        (POOLED, normalised(f"{MEAN} + 0.1 * (np.arange(probabilities.shape[2]) == 0)")),
    ),
    pool(
        "votes",
        "same_for_copies",
        (POOLED, "return np.eye(probabilities.shape[2])[probabilities.argmax(axis=2)].mean(axis=0)"),
    ),
    pool(
        "first member counts twice",
        "member_order",
        (POOLED, "return (probabilities.sum(axis=0) + probabilities[0]) / (len(probabilities) + 1)"),
    ),
    pool("upside down", "unanimous", (POOLED, normalised(f"1 - {MEAN}"))),
    pool("too sure", "pooling", (POOLED, normalised(f"{MEAN} ** 3"))),
    pool("lazy opt-out", "honest", ('"symmetric": True', '"symmetric": False')),
]
