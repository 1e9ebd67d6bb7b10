"""Where the time of a session's turns went, and who is told."""

import json
from typing import Any

import pytest

from antiphon.runtime.observer import TurnLatencies
from antiphon.server.callers import Caller
from antiphon.server.turn_reports import TurnReports
from tests.support.calls import DATA_ONLY, KEY_A, KEY_B, KEYS, a_secret, call_of

MAKER = Caller("owner")
NO_SESSION = {
    "error": {
        "message": "No session found for the provided session_id",
        "type": "invalid_request_error",
        "code": "session_not_found",
        "param": None,
    }
}


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def turn(session_id: str, number: int = 0) -> TurnLatencies:
    return TurnLatencies(session_id, f"resp_{number}", "completed")


def test_the_last_64_turns_of_a_session_are_kept() -> None:
    reports = TurnReports()
    reports.begun("sess_1", MAKER)
    for number in range(100):
        reports.finished(turn("sess_1", number))
    reports.finished(turn("sess_unknown"))
    session = reports.find("sess_1")
    assert session is not None
    assert [one.response_id for one in session.turns] == [f"resp_{number}" for number in range(36, 100)]
    assert reports.find("sess_unknown") is None


def test_a_session_that_has_ended_is_kept_for_a_minute() -> None:
    clock = Clock()
    reports = TurnReports(clock)
    for session_id in ("sess_1", "sess_2"):
        reports.begun(session_id, MAKER)
    reports.ended("sess_1")
    clock.now += 59.9
    assert reports.find("sess_1") is not None
    clock.now += 0.1
    assert reports.find("sess_1") is None
    assert reports.find("sess_2") is not None


def test_only_the_newest_of_the_sessions_that_have_ended_are_kept() -> None:
    reports = TurnReports(Clock())
    for number in range(1_000):
        reports.begun(f"sess_{number}", MAKER)
        reports.ended(f"sess_{number}")
    kept = [number for number in range(1_000) if reports.find(f"sess_{number}") is not None]
    assert kept == list(range(1_000 - 256, 1_000))


def path(session_id: str) -> str:
    return f"/v1/realtime/sessions/{session_id}/turns"


async def a_turn(socket: Any) -> str:
    """The session's id."""
    session_id: str = json.loads(await socket.recv())["session"]["id"]
    await socket.send('{"type": "response.create"}')
    while json.loads(await socket.recv())["type"] != "response.done":
        pass
    return session_id


def test_the_turns_of_a_session_are_told_while_it_lasts_and_after_its_end(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect() as socket:
            session_id = await a_turn(socket)
            answer = await server.get(path(session_id), {"origin": "http://localhost:3000"})
        while not (ended := (await server.get(path(session_id))).json())["ended"]:
            pass
        live = answer.json()
        assert (answer.status_code, live["session_id"], live["ended"]) == (200, session_id, False)
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert answer.headers["cache-control"] == "no-store"
        (told,) = live["turns"]
        assert ended["turns"] == live["turns"]
        assert (told["status"], told["origin"], told["drafted"]) == ("completed", "request", False)
        assert told["first_text_ms"] <= told["first_clause_ms"] <= told["first_audio_ms"] <= told["done_ms"]
        assert (told["pause_ms"], told["committed_ms"]) == (None, None)

    run_server(scenario)


@pytest.mark.parametrize("kind", ["socket", "call"])
def test_turns_are_for_whoever_opened_the_session_and_the_key_behind_it(run_server: Any, kind: str) -> None:
    async def scenario(server: Any) -> None:
        secret, another = await a_secret(server, KEY_A), await a_secret(server, KEY_A)
        makers = {"a secret": secret, "a key": KEY_A}
        for maker, key in makers.items():
            if kind == "socket":
                async with server.connect(additional_headers=key) as socket:
                    session_id = json.loads(await socket.recv())["session"]["id"]
                    await check(server, session_id, maker, secret, another)
            else:
                async with call_of(server.port, headers=key, plan=DATA_ONLY) as call:
                    session_id = (await call.next())["session"]["id"]
                    await check(server, session_id, maker, secret, another)

    async def check(server: Any, session_id: str, maker: str, secret: Any, another: Any) -> None:
        expected = {"a secret": (200, 200, 404, 404, 401), "a key": (200, 404, 404, 404, 401)}[maker]
        keys: list[dict[str, str]] = [KEY_A, secret, another, KEY_B, {}]
        answers = [await server.get(path(session_id), key) for key in keys]
        assert tuple(answer.status_code for answer in answers) == expected
        assert all(answer.json() == NO_SESSION for answer in answers if answer.status_code == 404)

    run_server(scenario, KEYS)


def test_an_unknown_session_is_answered_as_one_of_somebody_else(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        answer = await server.get(path("sess_unknown"), KEY_A)
        assert (answer.status_code, answer.json()) == (404, NO_SESSION)

    run_server(scenario, KEYS)
