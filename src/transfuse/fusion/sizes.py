"""One refusal for what would take too long: without it a stack of a thousand classes would simply never come back."""

from __future__ import annotations

import numpy as np

from transfuse.errors import UserError

LARGEST = 30_000_000


def refuse_large(probabilities: np.ndarray, what: str) -> None:
    """Raise UserError above 30 million numbers (members x rows x classes), e.g. 10 members of 10,000 rows and 300
    classes."""
    if probabilities.size > LARGEST:
        members, rows, classes = probabilities.shape
        raise UserError(
            f"these predictions are too many to {what}",
            expected=f"at most {LARGEST:,} numbers (members x rows x classes)",
            got=f"{members} x {rows:,} x {classes:,} = {probabilities.size:,}",
            hint="outputs/convex learns one weight a member at any size",
        )
