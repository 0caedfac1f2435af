# Derived from tests/recipes/_async/test_registration.py by scripts/unasync.py: change that file, make generate.
"""Registrations at a real server: there for as long as they are open, and made again."""

from __future__ import annotations

import gc

import pytest

from etcdv2 import Client, KeyExists
from etcdv2.recipes import Session
from etcdv2.testing import Server
from tests.recipes._sync.waits import comes, is_gone, renew_now
from tests.tools.waiting import SOON


def value_of(client: Client, key: str) -> str | None:
    found = client.keys.get(key, default=None)
    return None if found is None else found.value


def test_it_is_made_again_when_it_was_deleted_with_its_new_value(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session:
        registration = session.register("/services/web/a", "10.0.0.7:80")
        first = registration.token
        assert registration.held
        assert registration.away_since is None
        assert value_of(other, "/services/web/a") == "10.0.0.7:80"

        assert registration.update("10.0.0.7:81", timeout=SOON) is True
        assert (registration.value, registration.token) == ("10.0.0.7:81", first)
        assert value_of(other, "/services/web/a") == "10.0.0.7:81"

        other.keys.delete("/services/web/a")
        renew_now(session, registration)

        def is_back() -> bool:
            return registration.token > first and registration.held

        comes(is_back)
        assert value_of(other, "/services/web/a") == "10.0.0.7:81"
        assert (registration.away_since, registration.reason) == (None, "")

        assert registration.release(timeout=SOON) is True
        assert value_of(other, "/services/web/a") is None
        assert registration.release(timeout=SOON) is True
        with pytest.raises(ValueError, match="released"):
            registration.update("late")


def test_somebody_elses_key_is_taken_only_where_that_is_asked_for(client: Client, other: Client) -> None:
    other.keys.set("/services/web/a", "theirs")
    with Session(client, ttl=600) as session:
        with pytest.raises(KeyExists):
            session.register("/services/web/a", "mine")
        with session.register("/services/web/a", "mine", takeover=True) as registration:
            assert registration.held
            assert value_of(other, "/services/web/a") == "mine"
        is_gone(other, "/services/web/a")


def test_while_somebody_else_has_the_key_it_is_away_and_says_so(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session:
        registration = session.register("/services/web/a", "mine")
        other.keys.set("/services/web/a", "theirs")
        renew_now(session, registration)

        def is_away() -> bool:
            return registration.reason == "somebody else has the key"

        comes(is_away)
        assert not registration.held
        assert registration.away_since is not None
        assert value_of(other, "/services/web/a") == "theirs"

        other.keys.delete("/services/web/a")

        def is_back() -> bool:
            return registration.held

        comes(is_back)
        assert value_of(other, "/services/web/a") == "mine"


def test_it_is_back_after_an_outage_longer_than_its_ttl(etcd: Server, other: Client) -> None:
    with Client(etcd.url) as client, Session(client, ttl=2) as session:
        registration = session.register("/services/web/a", "mine")
        first = registration.token
        etcd.pause()
        try:

            def is_away() -> bool:
                return not registration.held

            comes(is_away)
        finally:
            etcd.resume()

        def is_back() -> bool:
            return registration.token > first and value_of(other, "/services/web/a") == "mine"

        comes(is_back)


def test_one_that_was_forgotten_is_deleted_with_a_warning(client: Client, other: Client) -> None:
    with Session(client, ttl=3600) as session:
        registration = session.register("/services/web/a", "mine")
        with pytest.warns(ResourceWarning, match="forgotten"):  # noqa: PT031 - the collector warns
            del registration
            gc.collect()
        is_gone(other, "/services/web/a")


def test_the_session_and_the_client_delete_it(etcd: Server, other: Client) -> None:
    with Client(etcd.url) as client:
        with Session(client, ttl=3600) as session:
            kept = session.register("/services/web/a", "mine")
        assert not kept.held
        assert value_of(other, "/services/web/a") is None
        left = Session(client, ttl=3600).register("/services/web/b", "mine")
    assert not left.held
    assert value_of(other, "/services/web/b") is None
