"""The listening sockets."""

import asyncio
import socket

import pytest

from antiphon.server.listen import bind, port_of
from antiphon.server.settings import SettingsError


def test_a_connection_does_not_wait_for_the_acknowledgement_of_the_last_answer() -> None:
    async def nodelay() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer: socket.socket = writer.get_extra_info("socket")
            accepted.set_result(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        (sock,) = bind("127.0.0.1", 0)
        async with await asyncio.start_server(connected, sock=sock):
            _, writer = await asyncio.open_connection("127.0.0.1", port_of([sock]))
            value = await accepted
            writer.close()
            await writer.wait_closed()
            return value

    assert asyncio.run(nodelay()) != 0


def test_a_taken_port_is_named_with_what_to_do() -> None:
    (taken,) = bind("127.0.0.1", 0)
    with taken:
        taken.listen()
        with pytest.raises(SettingsError, match="taken by another program: choose another with --port"):
            bind("127.0.0.1", port_of([taken]))
