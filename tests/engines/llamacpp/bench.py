"""A scripted server on a Unix socket, and runs on it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from antiphon.engines.base import Draft
from antiphon.engines.llamacpp.link import Link
from antiphon.engines.llamacpp.prefixes import Prefixes
from antiphon.engines.llamacpp.runs import Order, Run, Runs
from antiphon.engines.llamacpp.schedule import Schedule, ScheduleLimits
from antiphon.engines.llamacpp.slots import Slots
from antiphon.engines.llamacpp.unix_http import UnixHttp

__all__ = ["STORY", "Bench", "Server", "bench", "play", "text_of"]

END = 151645
BATCH = 10
STORY = "once upon a time there was a very long story"


@dataclass
class Request:
    """One completion that the server was asked for."""

    payload: dict[str, Any]
    go: asyncio.Event = field(default_factory=asyncio.Event)
    """Until it is set the server reads the first batch only."""
    dropped: bool = False

    @property
    def prompt(self) -> list[int]:
        prompt: list[int] = self.payload["prompt"]
        return prompt


class Server:
    """Tokens are characters. A prompt is read in batches of 10; the answer is the rest of ``STORY`` after the part
    that stands at the end of the prompt, a character a token."""

    def __init__(self) -> None:
        self.completions: list[Request] = []
        self.actions: list[str] = []
        self.free_running = True
        self.refuses_saves = False
        self._arrived = asyncio.Condition()
        self._connections = 0

    async def until_idle(self) -> None:
        async with self._arrived:
            await self._arrived.wait_for(lambda: not self._connections)

    async def completion(self, number: int) -> Request:
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.completions) > number)
        return self.completions[number]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            async with self._arrived:
                self._connections -= 1
                self._arrived.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        payload = msgspec.json.decode(await reader.readexactly(size))
        path = head.split()[1]
        if path == "/completion":
            await self._complete(payload, reader, writer)
        else:
            self._reply(writer, *self._answer(path, payload))
        await writer.drain()

    def _answer(self, path: str, payload: dict[str, Any]) -> tuple[int, Any]:
        if path == "/tokenize":
            if payload["parse_special"]:
                return 200, {"tokens": [END]}
            parts = [[part] if isinstance(part, int) else [ord(char) for char in part] for part in payload["content"]]
            return 200, {"tokens": [token for part in parts for token in part]}
        self.actions.append(f"{path} {payload['filename']}")
        return (500 if self.refuses_saves else 200), {}

    @staticmethod
    def _reply(writer: asyncio.StreamWriter, status: int, answer: Any) -> None:
        body = msgspec.json.encode(answer)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    async def _complete(
        self, payload: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = Request(payload)
        async with self._arrived:
            self.completions.append(request)
            self._arrived.notify_all()
        if self.free_running:
            request.go.set()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write_while_wanted(request, writer))
            with suppress(ConnectionError):
                await reader.read()  # until the client drops the connection
            request.dropped = not writing.done()
            writing.cancel()

    async def _write_while_wanted(self, request: Request, writer: asyncio.StreamWriter) -> None:
        try:
            await self._write(request, writer)
        except ConnectionError:
            await asyncio.Event().wait()  # what is left is not written

    async def _write(self, request: Request, writer: asyncio.StreamWriter) -> None:
        prompt, limit = request.prompt, request.payload["n_predict"]
        for read in range(0, len(prompt) + BATCH, BATCH):
            processed = min(read, len(prompt))
            await self._tell(writer, prompt_progress={"total": len(prompt), "cache": 0, "processed": processed})
            if read:
                await request.go.wait()
        text = "".join(map(chr, prompt))
        written = max((n for n in range(len(STORY) + 1) if text.endswith(STORY[:n])), default=0)
        answer = STORY[written : written + limit]
        for count, char in enumerate(answer, 1):
            await self._tell(writer, content=char, tokens=[ord(char)], tokens_predicted=count)
        stop = "eos" if written + len(answer) == len(STORY) else "limit"
        await self._tell(writer, stop=True, stop_type=stop, tokens_predicted=len(answer))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    async def _tell(writer: asyncio.StreamWriter, **event: Any) -> None:
        data = b"data: " + msgspec.json.encode(event) + b"\n\n"
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()
        await asyncio.sleep(0)


@dataclass
class Bench:
    server: Server
    runs: Runs
    stalled: asyncio.Event
    removed: list[str]

    def open(
        self,
        session: str,
        prompt: str = "tell me",
        *,
        limit: int = 100,
        ahead: bool = False,
        head: int = 0,
        draft: Draft | None = None,
    ) -> Run:
        tokens = [ord(char) for char in prompt]
        return self.runs.open(Order(session, tokens, head, 0 if ahead else limit), ahead=ahead, draft=draft)


@asynccontextmanager
async def bench(
    directory: Path, *, slots: int = 4, stall_s: float = 60.0, prefix_tokens: int = 0, **limits: Any
) -> AsyncGenerator[Bench, None]:
    server, stalled = Server(), asyncio.Event()
    removed: list[str] = []
    socket = directory / "llm.sock"
    async with await asyncio.start_unix_server(server.serve, socket):
        link = Link(UnixHttp(socket, "k"))
        await link.learn_marks()
        schedule = Schedule(Slots(slots), ScheduleLimits(**{"short_tokens": 20, "turn_s": 0.0} | limits))
        runs = Runs(
            link,
            schedule,
            Prefixes(prefix_tokens),
            stall_s=stall_s,
            stalled=stalled.set,
            remove_file=removed.append,
        )
        try:
            yield Bench(server, runs, stalled, removed)
        finally:
            runs.lost()
            await server.until_idle()


async def text_of(run: Run, *, wait_s: float = 5.0) -> str:
    text = ""
    try:
        while (event := await run.next(wait_s=wait_s)) is not None:
            text += event.content
    finally:
        run.close()
    return text


Play = Callable[[Bench], Coroutine[Any, Any, None]]


def play(directory: Path, scene: Play, **options: Any) -> None:
    async def run() -> None:
        async with bench(directory, **options) as at, asyncio.timeout(20):
            await scene(at)

    asyncio.run(run())
