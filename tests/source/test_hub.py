"""A hub out of reach is known before it is asked; one behind a proxy, or that answers to its name, is asked."""

from __future__ import annotations

import socket

import pytest
from huggingface_hub import constants

from transfuse.source import hub


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*hub.OFFLINE, *hub.PROXIES):
        monkeypatch.delenv(name, raising=False)


def unnamed(*_: object, **__: object) -> None:
    raise socket.gaierror("no such name")


def test_a_name_that_leads_nowhere_is_offline_unless_a_proxy_may_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", unnamed)
    assert hub.offline()
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert not hub.offline()


def test_a_name_that_leads_somewhere_is_asked_unless_the_user_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address))
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example:8443")
    assert not hub.offline()
    assert asked == [("mirror.example", 8443)]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.offline()


@pytest.mark.parametrize("before", [False, True])
def test_the_librarys_own_word_is_put_back(monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", unnamed)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", before)
    with pytest.raises(RuntimeError), hub.cache_alone_if_offline():
        assert constants.HF_HUB_OFFLINE
        raise RuntimeError
    assert constants.HF_HUB_OFFLINE is before
