"""A spoken turn from its first chunk of audio to its answer."""

from antiphon.testing.clock import run_virtual
from tests.support.runtime import serving

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


def test_the_first_event_is_session_created() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.ask("say Hello.")
            await client.until("response.done")
            assert client.types()[0] == "session.created"
            client.hang_up()

    run_virtual(main())


def _merged(types: list[str]) -> list[str]:
    """Deltas stand for however many there are."""
    return [type for at, type in enumerate(types) if not type.endswith(".delta") or type not in types[:at]]


def test_a_spoken_turn_gives_the_documented_order() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            await client.speak_turn()
            await client.until("rate_limits.updated")
            assert _merged(client.types(1)) == TURN + ANSWER
            client.hang_up()

    run_virtual(main())
