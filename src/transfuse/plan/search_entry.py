"""What a recipe says of its search; without it `candidates: auto` would decide by itself how much is trained."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, StrictInt


class Search(BaseModel):
    """So many `finalists` of `candidates: auto` are trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    finalists: StrictInt = Field(default=4, ge=1, le=50)
