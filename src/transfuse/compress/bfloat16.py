"""Keep and use the weights of convolutions and linear layers in bfloat16: half the bytes, 8 bits of precision.

w -> round_to_bfloat16(w), sums in float32; norms, joints and everything else stay float32. On processors without
bfloat16 arithmetic it saves memory and costs time.
"""

from __future__ import annotations

from transfuse.compress import Rows
from transfuse.fusion.lowered import Lowered
from transfuse.source.base import Source

CITATION = "Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training, arXiv 2019"
TRAITS = {"trains": False, "smaller": True, "faster": False, "near": 0.25}
# What has no unit for bfloat16 computes it many times slower.
COST = {"pace": 15.0}


def compress(model: Source, rows: Rows) -> Source:
    """The network around bfloat16 weights."""
    return Lowered(model)
