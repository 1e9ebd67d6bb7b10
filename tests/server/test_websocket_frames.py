"""Frames in and out of the WebSocket protocol: the same messages however they come, and no more than are taken."""

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.frames import Frame, Opcode

from antiphon.server import uvicorn_protocols
from antiphon.testing.clock import run_virtual
from tests.support.asgi import leave, listening, text_frame


def test_reading_stops_where_more_comes_than_is_taken() -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        protocol.data_received(text_frame(b"one") + text_frame(b"two"))
        assert transport.reading
        protocol.data_received(text_frame(b"three"))
        assert not transport.reading
        assert (await app.receive())["text"] == "one"
        assert not transport.reading
        assert (await app.receive())["text"] == "two"
        assert (await app.receive())["text"] == "three"
        assert transport.reading
        await leave(protocol, app)

    run_virtual(scenario())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 2600, 8000, 9000, 70_000])
def test_a_message_is_the_same_however_it_came(size: int) -> None:
    async def scenario() -> None:
        protocol, _, app = await listening()
        text = "é" * (size // 2) + "a" * (size % 2)
        frame = text_frame(text.encode())
        for pieces in ([frame], [frame[:3], frame[3:]], [frame[:1], frame[1:-1], frame[-1:]]):
            for piece in pieces:
                protocol.data_received(piece)
            assert (await app.receive())["text"] == text
        await leave(protocol, app)

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([text_frame(b"\xff")], 1007),
        ([text_frame(b"begun", fin=False), text_frame(b"another")], 1002),
        ([bytes((0x81, 3)) + b"abc"], 1002),
        ([bytes((0xC1,)) + text_frame(b"abc")[1:]], 1002),
    ],
    ids=["no UTF-8", "within another", "unmasked", "reserved bit"],
)
def test_a_whole_frame_that_breaks_the_rules_is_refused(frames: list[bytes], code: int) -> None:
    async def scenario() -> None:
        protocol, _, app = await listening()
        for frame in frames:
            protocol.data_received(frame)
        message = await app.receive()
        assert (message["type"], message["code"]) == ("websocket.disconnect", code)
        await leave(protocol, app)

    run_virtual(scenario())


def test_several_texts_leave_in_one_write_as_a_frame_each() -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        texts = [b"a" * size for size in (0, 125, 126, 65_535, 65_536)]
        transport.written, transport.writes = b"", 0
        await app.send({"type": "websocket.send", "texts": texts})
        assert transport.written == b"".join(bytes(Frame(Opcode.TEXT, text).serialize(mask=False)) for text in texts)
        assert transport.writes == 1
        await app.send({"type": "websocket.close", "code": 1000})
        with pytest.raises(ClientDisconnected):
            await app.send({"type": "websocket.send", "texts": texts})
        await leave(protocol, app)

    run_virtual(scenario())


def test_many_messages_of_one_read_are_parsed_slice_by_slice_and_none_is_lost() -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        texts = [f"message {number}" for number in range(5_000)]
        protocol.data_received(b"".join(text_frame(text.encode()) for text in texts))
        assert 0 < protocol.queue.qsize() < uvicorn_protocols.SLICE_BYTES // 10
        for text in texts:
            assert not transport.reading
            assert (await app.receive())["text"] == text
        assert transport.reading
        await leave(protocol, app)

    run_virtual(scenario())


def test_a_large_message_may_come_in_any_number_of_reads() -> None:
    async def scenario() -> None:
        protocol, _, app = await listening()
        data = text_frame(b"a" * 1_000_000) + text_frame(b"next")
        for start in range(0, len(data), 300_000):
            protocol.data_received(data[start : start + 300_000])
        assert (await app.receive())["text"] == "a" * 1_000_000
        assert (await app.receive())["text"] == "next"
        await leave(protocol, app)

    run_virtual(scenario())
