"""Whose a call is, and who may do anything with it."""

from typing import cast

import pytest

from antiphon.protocol.session_config import RealtimeSessionUpdate
from antiphon.server.auth import Keyring, PresentedKey
from antiphon.server.callers import authenticated, may_control
from antiphon.server.client_secrets import ClientSecrets
from antiphon.server.context import Context
from antiphon.server.errors import ApiError

SIGNING_KEY = "a-signing-key-of-at-least-32-characters"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """Two API keys, and secrets of theirs; what of a context the rules look at."""

    def __init__(self, *keys: str) -> None:
        self.clock = Clock()
        self.keyring = Keyring(keys)
        self.secrets = ClientSecrets([SIGNING_KEY], now=self.clock)

    @property
    def context(self) -> Context:
        return cast("Context", self)

    def secret_of(self, key: str) -> str:
        return self.secrets.make(RealtimeSessionUpdate(), 60, owner=self.keyring.owner(key) or "").value

    def may_control(self, key: str | None, maker: str | None) -> bool:
        made_by = None if maker is None else authenticated(self.context, PresentedKey(maker, "header"))
        return may_control(self.context, PresentedKey(key, "header"), made_by)


def test_a_key_controls_the_calls_that_it_and_its_secrets_made_and_no_others() -> None:
    world = World("key-a", "key-b")
    for maker in ("key-a", world.secret_of("key-a")):
        assert world.may_control("key-a", maker)
        assert not world.may_control("key-b", maker)
    assert not world.may_control("key-a", None)


def test_a_secret_controls_the_call_that_it_made_and_no_other() -> None:
    world = World("key-a", "key-b")
    secret, another = world.secret_of("key-a"), world.secret_of("key-a")
    assert world.may_control(secret, secret)
    assert not world.may_control(secret, another)
    assert not world.may_control(secret, "key-a")
    assert not world.may_control(secret, None)


def test_a_secret_controls_its_call_also_when_it_has_expired() -> None:
    world = World("key-a")
    secret = world.secret_of("key-a")
    made_by = authenticated(world.context, PresentedKey(secret, "header"))
    world.clock.now += 61
    assert may_control(world.context, PresentedKey(secret, "header"), made_by)
    with pytest.raises(ApiError, match="expired"):
        may_control(world.context, PresentedKey(secret, "header"), None)


@pytest.mark.parametrize("key", [None, "wrong-key"])
@pytest.mark.parametrize("maker", [None, "key-a"])
def test_who_has_no_accepted_key_does_not_learn_whether_a_call_exists(key: str | None, maker: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        World("key-a").may_control(key, maker)
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


def test_where_no_keys_are_asked_for_everybody_controls_every_call_but_a_secret_only_its_own() -> None:
    world = World()
    secret = world.secret_of("any")
    for maker in ("any", secret):
        assert world.may_control("other", maker)
        assert world.may_control(None, maker)
    assert world.may_control(secret, secret)
    assert not world.may_control(secret, "any")


def test_an_owner_is_not_the_key_and_the_same_in_every_process() -> None:
    owner = Keyring(["key-a", "key-b"]).owner("key-a")
    assert owner == Keyring(["key-a"]).owner("key-a")
    assert owner != Keyring(["key-b"]).owner("key-b")
    assert "key-a" not in str(owner)
