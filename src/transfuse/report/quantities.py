"""What each quantity is called and means; without it a reader would meet the names of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Style = Literal["plain", "level", "share", "rate", "count", "flops", "times", "p", "ms", "MB", "s"]


@dataclass(frozen=True)
class Quantity:
    """What a quantity is called, what it means to someone who never met it, and how it is written.

    A `share` is written in percent, its differences in points; a `rate` in percent even where it belongs to two arms; a
    `level` as a plain number even where it belongs to two arms. `best` says where the best value lies if it is neither
    the highest nor the lowest.
    """

    title: str
    meaning: str
    style: Style = "plain"
    best: str = ""


QUANTITIES = {
    "log_loss": Quantity("log-loss", "how surprised the model is by the right answer; 0 is perfect"),
    "accuracy": Quantity("accuracy", "share of items answered right", "share"),
    "brier": Quantity("Brier score", "squared distance of the stated probabilities from the truth, 0 to 2"),
    "macro_f1": Quantity("macro-F1", "balance of finding and naming each class, averaged over classes", "share"),
    "ece": Quantity("calibration error", "how far stated confidence is from how often it is right", "share"),
    "ece_debiased": Quantity("debiased calibration error", "the same without what chance alone adds", "share"),
    "ece_adaptive": Quantity(
        "equal-mass calibration error", "the same over bins that hold as many items each", "share"
    ),
    "ece_uncalibrated": Quantity("calibration error before", "the same before the temperature was fitted", "share"),
    "log_loss_uncalibrated": Quantity("log-loss before", "log-loss before the temperature was fitted"),
    "temperature": Quantity(
        "temperature", "what the scores were divided by; above 1 the arm was too sure", best="near 1 is better"
    ),
    "worst_class": Quantity("worst class", "accuracy on the class that is served worst", "share"),
    "worst_group": Quantity("worst group", "accuracy on the group that is served worst", "share"),
    "binary_log_loss": Quantity("binary log-loss", "how surprised the model is by each label's truth; 0 is perfect"),
    "binary_log_loss_uncalibrated": Quantity("binary log-loss before", "the same before the temperature was fitted"),
    "binary_brier": Quantity("Brier score per label", "squared distance of each label's probability from the truth"),
    "subset_accuracy": Quantity("all labels right", "share of items all of whose labels are answered right", "share"),
    "hamming_accuracy": Quantity("labels right", "share of labels answered right, over all items", "share"),
    "macro_average_precision": Quantity("average precision", "how well each label's items rank first, mean", "share"),
    "macro_auroc": Quantity("area under ROC", "chance that an item with a label ranks before one without", "share"),
    "label_ece": Quantity("calibration error per label", "how far chances are from how often labels hold", "share"),
    "label_ece_uncalibrated": Quantity("calibration error before", "the same before the temperature", "share"),
    "ece_by_label": Quantity("calibration error of one label", "how far its chances are from the truth", "share"),
    "label_difference": Quantity("difference by label", "the kind's own loss on one label"),
    "target_difference": Quantity("difference by target", "the squared error of one target"),
    "squared_error": Quantity("squared error", "mean squared distance from the true number"),
    "rmse": Quantity("root mean squared error", "typical distance from the true number, large ones weigh more"),
    "absolute_error": Quantity("absolute error", "mean distance from the true number"),
    "r2": Quantity("R²", "share of the targets' variance that is explained; 0 is no better than their mean"),
    "positive_flips": Quantity("newly right", "right where the other is wrong", "rate"),
    "negative_flips": Quantity("newly wrong", "wrong where the other is right", "rate"),
    "mcnemar_midp": Quantity("McNemar mid-p", "chance of so uneven a split of flips if both were equally good", "p"),
    "disagreement": Quantity("disagreement", "share of items on which the two answer differently", "rate"),
    "lone_disagreement": Quantity(
        "stands alone", "share of items on which all the others agree and it alone answers otherwise", "rate"
    ),
    "double_fault": Quantity("both wrong", "share of items that both get wrong", "rate"),
    "error_correlation": Quantity("error correlation", "1: they err on the same items; 0: independently", "level"),
    "q_statistic": Quantity("Q statistic", "1: right on the same items; 0: independent", "level"),
    "oracle_accuracy": Quantity("known to one member", "share of items that at least one member gets right", "share"),
    "ambiguity_brier": Quantity("gain over the average member, Brier", "what averaging gains over the average member"),
    "ambiguity_squared_error": Quantity(
        "gain over the average member, squared error", "what the mean gains over the average member"
    ),
    "ambiguity_log_loss": Quantity(
        "gain over the average member, log-loss", "what the geometric mean gains over the average member"
    ),
    "der": Quantity("disagreement per error", "disagreement over mean error; voting helps from about 1 on", "level"),
    "eir": Quantity("share of errors removed", "of the average member's errors, by pooling", "share"),
    "robust_accuracy": Quantity("accuracy under attack", "an upper bound: a stronger attack may find more", "share"),
    "worst_case_accuracy": Quantity("worst case over attacks", "right only where no attack breaks it", "share"),
    "gradient_masking": Quantity("masked gradients", "items that survive only because gradients hide", "share"),
    "training_curve": Quantity("end of training", "the deciding measure on the selection rows"),
    "reliability": Quantity("calibration error, all runs", "over the bins of the diagram", "share"),
    "stored_bytes": Quantity("bytes on disk", "what the weights that run take on disk", "count"),
    "non_inferior": Quantity("no worse than by the margin", "1 where the interval shows it", "level"),
    "same_answer": Quantity("same answer", "share of items with the same class first", "rate"),
    "bytes_left": Quantity("bytes left", "bytes on disk, as a share of the uncompressed arm's", "rate"),
    "flops_left": Quantity("FLOPs left", "compute of one item, as a share of the uncompressed arm's", "rate"),
    "parameters_left": Quantity("parameters left", "as a share of the uncompressed arm's", "rate"),
    "pareto": Quantity("worth its cost", "1 where no arm dominates it", "level"),
    "cka": Quantity("similarity of features", "debiased CKA: 1 the same up to a turn, about 0 unrelated", "level"),
    "near_identical": Quantity("near-identical training row", "share of judged rows that one nearly repeats", "share"),
    "stitching_loss": Quantity("stitching loss", "accuracy lost when one's front feeds the other's tail", "share"),
    "aurc": Quantity("risk over all coverages", "mean error among the most confident, over all shares", "share"),
    "e_aurc": Quantity("avoidable part of it", "the same less what a perfect confidence would leave", "share"),
    "risk_at_coverage": Quantity("error when answering in part", "error among the most confident items", "share"),
    "ood_auroc": Quantity("AUROC", "chance that a judged item looks more familiar than an outside one", "share"),
    "ood_aupr_in": Quantity("AUPR, inside", "precision of calling an item familiar", "share"),
    "ood_aupr_out": Quantity("AUPR, outside", "precision of calling an item foreign", "share"),
    "ood_fpr95": Quantity("false alarms", "outside items taken for familiar where 95 % of the judged are", "share"),
    "corruption_error": Quantity(
        "errors under corruption", "times those of the best single, mean over corruptions", "times"
    ),
    "relative_corruption_error": Quantity("errors added by corruption", "times those the best single adds", "times"),
    "worst_corruption": Quantity("under the worst corruption", "errors, times those of the best single", "times"),
    "data_efficiency": Quantity("after training on", "the deciding measure on the selection rows"),
    "aulc": Quantity("mean over training sizes", "the deciding measure over the logarithm of the number of rows"),
    "data_multiplier": Quantity("data multiplier", "how many times as many rows the best single needs", "times"),
    "transfer_ratio": Quantity("saved over all sizes", "part of the best single's loss that is saved", "rate"),
    "jump_start": Quantity("at the fewest rows", "difference to the best single on the fewest rows"),
    "asymptote": Quantity("at all rows", "difference to the best single on all rows"),
    "time_to_target_items": Quantity("items until the target", "training items gone through", "count"),
    "time_to_target_flops": Quantity("compute until the target", "features of the members included", "flops"),
    "time_to_target_flops_warm": Quantity("compute until the target, features kept", "head and steps only", "flops"),
    "speed_up": Quantity("speed-up", "time of the best single over that of the arm", "times"),
    "retention_kl": Quantity("answers moved", "how far a source's own answers moved; 0 unmoved"),
    "own_accuracy_change": Quantity(
        "accuracy on its own task", "after minus before, by the source's own head", "share"
    ),
    "probe_log_loss": Quantity("probe log-loss", "log-loss of a ridge head on frozen features, out of fold"),
    "probe_accuracy": Quantity("probe accuracy", "share that a ridge head on frozen features gets right", "share"),
    "score_tau": Quantity("weighted tau", "whether a score orders the sources as the truth does; 1: the same", "level"),
    "score_regret": Quantity("regret", "what is lost by taking the source that a score puts first", "level"),
    "shapley": Quantity("share of the gain", "of what all sources together gain over none"),
    "shapley_interaction": Quantity("interaction", "above 0: they complete each other; below: they repeat each other"),
    "ridge_gain": Quantity("gain of all sources", "over class frequencies, by a ridge head on frozen features"),
    "selection_optimism": Quantity("optimism of choosing", "by how much the chosen one's value flatters it there"),
    "search_optimism": Quantity("optimism of the search", "by how much too low the best fusion's loss is there"),
    "search_gain": Quantity("gain found by the search", "over the best single, once its optimism is taken off"),
    "auroc": Quantity("area under the ROC curve", "how well classes are ranked, whatever the threshold", "share"),
    "rope": Quantity("probability of being better", "by more than the margin, over training sets", "rate"),
    "sign_flip_runs": Quantity("sign flips over runs", "for these items only", "p"),
    "sign_flip_items": Quantity("sign flips over items", "for these trained models only", "p"),
    "all_required": Quantity("better than all at once", "largest p of the comparisons that are required", "p"),
    "every_single": Quantity("better than every single model", "largest p of the comparisons with each of them", "p"),
    "class_difference": Quantity("difference by class", "the deciding measure on one class"),
    "group_difference": Quantity("difference by group", "the deciding measure on one group"),
    "negative_transfer": Quantity("with a source or without", "the fusion minus the same refitted without the source"),
    "negative_transfer_class": Quantity("with a source or without, by class", "the same on one class"),
    "next_experiment": Quantity("next experiment", "how many more would settle it", "count"),
    "branch_solo": Quantity("alone", "how often this branch alone is right", "share"),
    "branch_without": Quantity("without it", "how often the others are right without this branch", "share"),
    "branch_gradient": Quantity("share of the gradient", "how much of what training asks for goes to it", "share"),
    "branch_share": Quantity("weight", "how much the method counts it, in the mean over items", "share"),
    "gate_entropy": Quantity("spread of the weights", "1 where all branches count alike, 0 where one does"),
    "barrier_line": Quantity("above the line", "how far log-loss rises above the line between both ends"),
    "barrier_ends": Quantity("above the ends", "how far log-loss rises above the mean of both ends"),
    "generalisation_gap": Quantity("overfitting", "how much better it is on the rows it learned from"),
    "parameters": Quantity("parameters", "numbers the model stores", "count"),
    "trainable_parameters": Quantity("trained parameters", "numbers that training may change", "count"),
    "inference_flops": Quantity("compute per item", "operations for one answer, counted", "flops"),
    "train_flops": Quantity("training compute", "operations for all training, counted", "flops"),
    "latency_p50_ms": Quantity("median latency", "half of the answers come faster", "ms"),
    "latency_p95_ms": Quantity("slow latency", "95 % of the answers come faster", "ms"),
    "batch_ms": Quantity("time of a batch", "one batch of items", "ms"),
    "peak_memory_mb": Quantity("peak memory", "the most memory held at once", "MB"),
    "wall_seconds": Quantity("wall time", "time on the clock", "s"),
}

# Quantities that are another one's in some respect, by how their names begin.
OF_OTHERS = {
    "guard_": "guard on {}",
    "apart_": "{} without near-identical rows",
    "near_": "{} on near-identical rows",
}


def quantity(name: str) -> Quantity:
    """The known quantity of that name, else one that is called by its name; a guard is written as what it guards, and a
    measure on a part of the rows as that measure."""
    for prefix, title in OF_OTHERS.items():
        if name.startswith(prefix) and name not in QUANTITIES:
            other = quantity(name.removeprefix(prefix))
            return Quantity(title.format(other.title), other.meaning, other.style)
    # Of `pkg.module:function?direction=lower` the function's name is enough.
    return QUANTITIES.get(name) or Quantity(name.partition("?")[0].rpartition(":")[2].replace("_", " "), "")
