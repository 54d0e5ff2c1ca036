"""What is delivered: which fitted arm, of which run, becomes the shipped model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.steps import Context, Result
from transfuse.store import Artifact

REVISION = 1


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """The run with the lowest selection loss among the recommended arm's fits, or the fit a final choice names.

    `fit` is the key of the fitted arm; judged rows have no part in picking the run.
    """
    for role, artifact in inputs.items():
        if role.startswith("choice|") and artifact.meta["chosen"] is not None:
            ((run, key),) = artifact.meta["keys"].items()
            return {"arm": artifact.meta["chosen"], "run": run, "fit": key}, None
    fits = {role: artifact for role, artifact in inputs.items() if "failed" not in artifact.meta}
    if not fits:
        return {"failed": "the recommended arm could not be fitted to all rows"}, None
    role = min(sorted(fits), key=lambda name: fits[name].meta["selection"])
    _, arm, run = role.split("|")
    return {"arm": arm, "run": run, "fit": context.keys[role]}, None
