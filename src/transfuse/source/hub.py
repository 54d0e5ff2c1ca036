"""Whether the model hub can be asked; without this a machine without a network would wait a minute for a message."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
# Behind a proxy names need not lead anywhere here.
PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def offline() -> bool:
    """Whether the user forbids to ask, or the hub's name leads nowhere: its library would try again five times."""
    from huggingface_hub import constants

    if any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE):
        return True
    if any(os.environ.get(name) for name in PROXIES):
        return False
    address = urlsplit(constants.ENDPOINT)
    try:
        socket.getaddrinfo(address.hostname or "", address.port or 443)
    except OSError:
        return True
    return False


@contextmanager
def cache_alone_if_offline() -> Iterator[None]:
    """Inside, the hub's library answers from its cache where the hub cannot be asked; the rest fails at once."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
