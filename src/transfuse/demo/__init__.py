"""Without this package nobody could try a fusion offline: three small pretrained networks travel with the library.

`networks` builds them, `weights` says where their trained values lie, `provenance.json` says how they were made.
No torch here, so that a plan can name the files.
"""

from __future__ import annotations

from pathlib import Path

from transfuse.errors import unknown_name

NAMES = ("residual", "vgg", "depthwise")
FOLDER = Path(__file__).parent
PROVENANCE = FOLDER / "provenance.json"


def weights(name: str) -> Path:
    """The safetensors file of one demo network; its metadata key `transfuse.card` is the network's card.

    Raises `UserError` for a name that is not in `NAMES`.
    """
    if name not in NAMES:
        raise unknown_name("demo network", name, NAMES)
    return FOLDER / f"{name}.safetensors"
