"""Sessions in memory: the real runtime behind a transport of lists, on whatever loop the test runs."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from antiphon.engines.base import (
    ImageReader,
    LanguageModel,
    NoiseReducer,
    SpeechToText,
    TextToSpeech,
    TurnJudge,
    VoiceActivityDetector,
)
from antiphon.protocol.session_config import SessionUpdateBody
from antiphon.runtime.engines import Engines
from antiphon.runtime.mcp_work import McpClient
from antiphon.runtime.observer import (
    BargeInOutcome,
    BargeInPolicy,
    DraftEnd,
    DraftStage,
    FailedStage,
    McpOutcome,
    McpTask,
    Observer,
    SessionSummary,
    TurnLatencies,
)
from antiphon.runtime.session_handle import SessionHandle
from antiphon.runtime.sessions import Opening, Sessions
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.transport import CallMedia, TransportClosedError
from antiphon.runtime.work import Work
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedVad
from antiphon.testing.wire import assert_valid_server_event
from antiphon.vocabulary.errors import EngineErrorKind
from tests.support.audio import chunks, silence_ms, tone_ms

__all__ = ["Client", "Event", "Noted", "Server", "engines_of", "run_session", "serving"]

Event = dict[str, Any]

_HZ: Final = 24_000


class Noted:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[SessionSummary] = []
        self.turns: list[TurnLatencies] = []
        self.work: list[Sequence[Work]] = []
        self.stray_tools: list[Work] = []
        self.wants_words = False
        self.judged: list[tuple[float, float | None]] = []
        self.drafts: list[DraftStage] = []
        self.discarded: list[tuple[DraftEnd, int, float]] = []
        self.cuts: list[tuple[BargeInPolicy, float]] = []
        self.barge_ins: list[tuple[BargeInPolicy, BargeInOutcome, int]] = []
        self.codes: list[str] = []
        self.unknown: list[str] = []
        self.windows = 0
        self.batches = 0
        self.vad_failures: list[BaseException] = []
        self.engine_failures: list[tuple[FailedStage, EngineErrorKind]] = []
        self.mcp: list[tuple[McpTask, McpOutcome]] = []
        self.skipped = 0
        self.noises_kept: list[BaseException | None] = []
        self.faults: list[BaseException] = []

    def session_started(self, session_id: str, connection_id: str) -> None:
        self.started.append(session_id)

    def session_ended(self, summary: SessionSummary) -> None:
        self.ended.append(summary)

    def turn_finished(self, latencies: TurnLatencies, work: Sequence[Work] = ()) -> None:
        self.turns.append(latencies)
        self.work.append(work)

    def tool_called(self, session_id: str, work: Work) -> None:
        self.stray_tools.append(work)

    def turn_judged(self, took_s: float, probability: float | None) -> None:
        self.judged.append((took_s, probability))

    def draft(self, stage: DraftStage) -> None:
        self.drafts.append(stage)

    def draft_discarded(self, reason: DraftEnd, tokens: int, audio_s: float) -> None:
        self.discarded.append((reason, tokens, audio_s))

    def barge_in(self, policy: BargeInPolicy, outcome: BargeInOutcome, after_ms: int) -> None:
        self.barge_ins.append((policy, outcome, after_ms))

    def cut(self, policy: BargeInPolicy, took_s: float) -> None:
        self.cuts.append((policy, took_s))

    def client_error(self, session_id: str, code: str) -> None:
        self.codes.append(code)

    def unknown_field(self, connection_id: str, path: str) -> None:
        self.unknown.append(path)

    def vad_batch(self, seconds: float, windows: int) -> None:
        self.batches += 1
        self.windows += windows

    def engine_failed(self, stage: FailedStage, kind: EngineErrorKind) -> None:
        self.engine_failures.append((stage, kind))

    def mcp_ended(self, task: McpTask, outcome: McpOutcome) -> None:
        self.mcp.append((task, outcome))

    def vad_failed(self, error: BaseException) -> None:
        self.vad_failures.append(error)

    def windows_skipped(self, windows: int) -> None:
        self.skipped += windows

    def noise_kept(self, error: BaseException | None) -> None:
        self.noises_kept.append(error)

    def fault(self, session_id: str, error: BaseException) -> None:
        self.faults.append(error)


class Client:
    """A client and its connection. It is the ``Transport`` that the session sees, and the test's way to speak to it."""

    media: CallMedia | None = None

    def __init__(self) -> None:
        self.events: list[Event] = []
        """All that was received, checked."""
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        """The close code and reason that the server gave."""
        self.reading = asyncio.Event()
        """Cleared: the client reads nothing more."""
        self.reading.set()
        self._incoming: asyncio.Queue[str | bytes | TransportClosedError] = asyncio.Queue()
        self._news = asyncio.Event()
        self._lost: TransportClosedError | None = None

    # --- the session's side ----------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        frame = await self._incoming.get()
        if isinstance(frame, TransportClosedError):
            raise frame
        return frame

    async def send(self, frames: Sequence[bytes]) -> None:
        await self.reading.wait()
        if self._lost is not None:
            raise TransportClosedError(clean=False, code=1006)
        assert self.closed is None, "sent after the close"
        for frame in frames:
            event = json.loads(frame)
            assert_valid_server_event(event)
            self.frames.append(frame)
            self.events.append(event)
        self._news.set()

    async def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
        self._news.set()

    # --- the test's side -------------------------------------------------------------------------------------------

    def send_text(self, frame: str | bytes) -> None:
        self._incoming.put_nowait(frame)

    def say(self, type: str, **fields: Any) -> None:
        """Send one event."""
        self.send_text(json.dumps({"type": type, **fields}))

    def append(self, pcm: bytes) -> None:
        """Audio, in one ``input_audio_buffer.append``."""
        self.say("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    def update(self, **session: Any) -> None:
        self.say("session.update", session={"type": "realtime", **session})

    def ask(self, text: str) -> None:
        """A text turn: an item and a response."""
        content = [{"type": "input_text", "text": text}]
        self.say("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.say("response.create")

    async def speak(self, pcm: bytes, *, chunk_ms: int = 20) -> None:
        """Send audio at the pace of speech."""
        for chunk in chunks(pcm, chunk_ms):
            self.append(chunk)
            await asyncio.sleep(len(chunk) / 2 / _HZ)

    async def speak_turn(self, *, speech_ms: int = 800, silence_after_ms: int = 700) -> None:
        """A turn that server VAD takes for one."""
        await self.speak(tone_ms(speech_ms) + silence_ms(silence_after_ms))

    def hang_up(self, *, clean: bool = True) -> None:
        """Close the connection; ``clean`` with a close frame."""
        self._lost = TransportClosedError(clean=clean, code=1000 if clean else 1006)
        self._incoming.put_nowait(self._lost)
        self.reading.set()

    def types(self, start: int = 0) -> list[str]:
        return [event["type"] for event in self.events[start:]]

    def of_type(self, type: str) -> list[Event]:
        return [event for event in self.events if event["type"] == type]

    async def until(self, type: str, count: int = 1) -> Event:
        """Wait for the ``count``-th event of a type, which is 1 or more."""
        while len(found := self.of_type(type)) < count:
            assert self.closed is None, f"closed with {self.closed} before {type}; received {self.types()}"
            await self._more()
        return found[count - 1]

    async def until_closed(self) -> tuple[int, str]:
        while self.closed is None:
            await self._more()
        return self.closed

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()


def engines_of(
    *,
    vad: VoiceActivityDetector | None = None,
    stt: SpeechToText | None = None,
    llm: LanguageModel | None = None,
    tts: TextToSpeech | None = None,
    noise_reducer: NoiseReducer | None = None,
    turn_judge: TurnJudge | None = None,
    image_reader: ImageReader | None = None,
) -> Engines:
    """Scripted engines, but for those that are given."""
    return Engines(
        vad or ScriptedVad(),
        stt or ScriptedStt(),
        llm or ScriptedLlm(),
        tts or ScriptedTts(),
        noise_reducer=noise_reducer,
        turn_judge=turn_judge,
        image_reader=image_reader,
    )


class Server:
    """A process's sessions, and the tasks that serve them."""

    def __init__(self, sessions: Sessions, observer: Observer, tasks: asyncio.TaskGroup) -> None:
        self.sessions = sessions
        self.observer = observer
        self._tasks = tasks
        self.tasks: list[asyncio.Task[None]] = []
        """Of the sessions, in the order of their beginning."""
        self.handles: list[SessionHandle] = []
        """Of the sessions, too."""
        self.sidebands: list[asyncio.Task[None]] = []

    async def connect(
        self,
        client: Client | None = None,
        *,
        kind: str = "realtime",
        ready: bool = True,
        bound: SessionUpdateBody | None = None,
    ) -> Client:
        """A new session's client; ``ready``: once ``session.created`` is there.

        ``bound``: what its secret binds.
        """
        admission = self.sessions.try_admit()
        assert admission is not None, "refused"
        client = client or Client()
        name = f"connection {len(self.tasks)}"
        opening = Opening("transcription" if kind == "transcription" else "realtime", "m", name, bound)

        async def serve() -> None:
            with admission:
                await self.sessions.serve(client, opening, self.handles.append)

        self.tasks.append(self._tasks.create_task(serve(), name=opening.connection_id))
        await asyncio.sleep(0)
        if ready:
            await client.until("session.created")
        return client

    async def attach(self, client: Client | None = None, *, session: int = 0, beta: bool = False) -> Client:
        """A sideband of a session, by its number."""
        client = client or Client()
        attaching = self.handles[session].attach(client, connection_id=f"sideband {len(self.sidebands)}", beta=beta)
        self.sidebands.append(self._tasks.create_task(attaching))
        await asyncio.sleep(0)
        return client

    async def all_ended(self) -> None:
        """Wait until no session is left."""
        await asyncio.wait(self.tasks)


@asynccontextmanager
async def serving(
    engines: Engines | None = None,
    settings: RuntimeSettings | None = None,
    observer: Observer | None = None,
    mcp: McpClient | None = None,
) -> AsyncIterator[Server]:
    """A server in memory. At the end its sessions must be over, or they are cut off."""
    observer = observer or Noted()
    sessions = Sessions(engines or engines_of(), settings or RuntimeSettings(), observer, mcp)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sessions.run(), name="sessions")
        served = asyncio.TaskGroup()
        async with served:
            yield Server(sessions, observer, served)
            await sessions.drain(0)
        running.cancel()


def run_session(scenario: Callable[[Client], Any], settings: RuntimeSettings | None = None, **engines: Any) -> Noted:
    """One session on virtual time, which must end well and without a fault of ours."""
    observer = Noted()

    async def main() -> None:
        async with serving(engines_of(**engines), settings, observer) as server:
            client = await server.connect()
            await scenario(client)
            client.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert observer.faults == []
    assert [summary.outcome for summary in observer.ended] == ["closed"]
    return observer
