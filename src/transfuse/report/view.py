"""What sections read the evidence through; without it each would dig in raw JSON and guess at what is missing.

A view never computes a result. It finds rows, keeps `undefined` with its reason, and says None where there is no row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from transfuse.errors import UserError
from transfuse.figures import plural
from transfuse.report.record import Rows, clean
from transfuse.types import Claim, Evidence, Flag, Recommendation

SCHEMA = "transfuse/evidence/1"
LADDER = (
    "prior", "as_is/", "frozen/", "tuned/", "ensemble", "soup", "copies", "random/", "scratch", "without/",
    "compute_matched", "parameter_matched", "alternative",
)  # fmt: skip
PICTURE = re.compile(r"data:(image/(?:png|jpeg));base64,([A-Za-z0-9+/]+={0,2})")


class View(Rows):
    """One run's evidence and, where there are any, its measurements and small pictures of judged items.

    Raises `UserError` for a record of another schema, without a verdict, or with unreadable rows. A picture that is no
    PNG or JPEG in base64 is left out.
    """

    def __init__(
        self,
        evidence: Mapping[str, Any],
        measurements: Mapping[str, Any] | None = None,
        pictures: Mapping[str, str] | None = None,
    ) -> None:
        evidence, measured = clean(evidence), clean(measurements or {})
        if evidence.get("schema") != SCHEMA:
            raise UserError("this is not an evidence record", expected=SCHEMA, got=str(evidence.get("schema")))
        verdict = evidence.get("verdict")
        if not isinstance(verdict, Mapping) or not isinstance(verdict.get("recommendation"), Mapping):
            raise UserError("this evidence record holds no verdict", hint="let the run finish, then report again")
        super().__init__(evidence.get("evidence") or (), measured.get("measurements") or ())
        self.record = evidence
        self.measured: Mapping[str, Any] = measured
        self.setup: Mapping[str, Any] = evidence.get("setup") or {}
        self.ledger: Mapping[str, Any] = evidence.get("ledger") or {}
        self.not_measured: tuple[Mapping[str, Any], ...] = tuple(evidence.get("not_measured") or ())
        self.arms: tuple[Mapping[str, Any], ...] = tuple(sorted(evidence.get("arms") or (), key=_rung))
        found = {name: PICTURE.fullmatch(text) for name, text in (pictures or {}).items() if isinstance(text, str)}
        self.pictures = {clean(name): (match[1], match[2]) for name, match in found.items() if match}
        chosen = verdict["recommendation"]
        self.recommendation = Recommendation(chosen["arm"], chosen.get("form", "single"), chosen.get("why", ""))
        self.claims = tuple(_claim(claim) for claim in verdict.get("claims") or ())
        self.flags = tuple(
            Flag(flag["flag"], flag.get("why", ""), tuple(flag.get("evidence") or ()))
            for flag in verdict.get("flags") or ()
        )

    # -- what was asked ------------------------------------------------------------------------------------------------

    @property
    def metric(self) -> str:
        """The quantity that decides: the task's, else that of the first claim."""
        first = self.claims[0].quantity if self.claims else "log_loss"
        return (self.setup.get("task") or {}).get("metric") or first

    @property
    def kind(self) -> str:
        """What the record is of: a `run`, or a `choice` of sources before one."""
        return str(self.record.get("kind", "run"))

    @property
    def headline(self) -> tuple[str, ...]:
        """The deciding quantity, and the one beside it that people think in, where it was asked for."""
        beside = (name for name in ("accuracy", "subset_accuracy", "rmse") if self.find(name))
        return tuple(dict.fromkeys((self.metric, *beside)))

    @property
    def measures(self) -> tuple[str, ...]:
        """All that the task names, the deciding one first."""
        return tuple(dict.fromkeys((self.metric, *((self.setup.get("task") or {}).get("also") or ()))))

    @property
    def title(self) -> str:
        return self.setup.get("title") or "Fusion report"

    @property
    def summary(self) -> str:
        """What was judged, in one line."""
        judged, runs = self.data.get("judged"), self.setup.get("runs") or ()
        nouns = (("class", "classes"), ("label", "labels"), ("target", "targets"))
        learned = [plural(n, noun) for noun, name in nouns if isinstance(n := self.data.get(name), int)]
        protocol = {"locked": "one locked test set", "crossfit": "cross-fitted"}.get(self.protocol) if runs else ""
        return ", ".join(
            part
            for part in (
                str(self.data.get("source") or ""),
                *learned,
                plural(judged, "judged item") if isinstance(judged, int) else "",
                plural(self.data["apart"], "row") + " looked at" if isinstance(self.data.get("apart"), int) else "",
                plural(len(runs), "fold" if self.protocol == "crossfit" else "run") if runs else "",
                protocol,
            )
            if part
        )

    @property
    def protocol(self) -> str:
        return self.setup.get("protocol") or "unknown"

    @property
    def data(self) -> Mapping[str, Any]:
        return self.setup.get("data") or {}

    @property
    def margin(self) -> float | None:
        """The difference in the deciding metric below which nobody cares."""
        value = (self.setup.get("margin") or {}).get("value")
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    @property
    def winner(self) -> str:
        """The arm to ship."""
        return self.recommendation.arm

    @property
    def challenger(self) -> str:
        """The arm that the claims are about: the best candidate, whether it ships or not."""
        return self.claims[0].arm if self.claims else self.winner

    @property
    def rival(self) -> str | None:
        """What the challenger has to beat first: the best single, else whom the first claim names."""
        named = [claim.versus for claim in self.claims if claim.arm == self.challenger]
        return self.best_single if self.best_single in named else named[0] if named else None

    @property
    def judged_as(self) -> str:
        """The arm whose judged rows speak for what ships: a choice made in each fold, for what it chose on all rows."""
        return str((self.record["verdict"]["recommendation"]).get("judged_as") or self.winner)

    @cached_property
    def best_single(self) -> str | None:
        """The best single source as it was chosen on the selection rows; the arm of that name where every fold chose
        anew; None when no choice tells."""
        if self.arm("best_single"):
            return "best_single"
        if named := self.setup.get("best_single"):
            return str(named)
        for choice in self.setup.get("choices") or ():
            if str(choice.get("choice", "")).replace(" ", "_").replace("-", "_") == "best_single":
                return choice.get("chosen")
        return None

    def arm(self, name: str) -> Mapping[str, Any]:
        """The record of an arm; of the recommended one at least its members; else empty."""
        chosen = self.record["verdict"]["recommendation"]
        known = {"name": name, "members": chosen["members"]} if name == chosen["arm"] and "members" in chosen else {}
        return next((arm for arm in self.arms if arm.get("name") == name), known)

    def claimed(self, claim: Claim) -> Evidence | None:
        """The paired row that a claim rests on."""
        own = [self.rows[name] for name in claim.evidence if name in self.rows]
        return next((row for row in own if row.versus and row.quantity == claim.quantity), None) or self.paired(
            claim.arm, claim.versus, claim.quantity
        )


def _claim(record: Mapping[str, Any]) -> Claim:
    ids = tuple(record.get("evidence") or ())
    return Claim(record["arm"], record["versus"], record["quantity"], record["status"], ids, record.get("sentence", ""))


def _rung(arm: Mapping[str, Any]) -> int:
    """The place on the ladder; candidates come last, and the order of the record decides among equals."""
    name = str(arm.get("name", ""))
    if arm.get("role") == "candidate":
        return len(LADDER) + 1
    steps = (step for step, rung in enumerate(LADDER) if name == rung or (rung.endswith("/") and name.startswith(rung)))
    return next(steps, len(LADDER))
