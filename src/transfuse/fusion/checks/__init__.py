"""The fusion contract, which anybody can run on a method of their own: without it, "it is a method" would be a claim.

>>> from transfuse.fusion.checks import check, entry_of
>>> [result.name for result in check(entry_of("weights/mean")) if not result.passed]
[]
"""

from __future__ import annotations

from transfuse.fusion.checks.entries import entry_of
from transfuse.fusion.checks.law import BrokenLawError
from transfuse.fusion.checks.suite import Check, Result, check, checks_for

__all__ = ["BrokenLawError", "Check", "Result", "check", "checks_for", "entry_of"]
