"""One call: what its owner does with it, and what it tells its owner."""

import asyncio
import enum
import logging
import random
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeVarTuple, cast

from antiphon.rtc.ice import Ice
from antiphon.rtc.media import Media
from antiphon.rtc.mux import Mux, Path
from antiphon.rtc.pacer import Pacer, PacerHandle
from antiphon.rtc.playout import PLAYOUT_HZ, Cleared, PlayoutQueue
from antiphon.rtc.sdp import Offer, SdpError, parse_offer
from antiphon.rtc.sdp_answer import Candidate, Local, Negotiated, negotiate
from antiphon.rtc.settings import MAX_MESSAGE_BYTES, EndpointSettings
from antiphon.rtc.stun import BindingRequest

if TYPE_CHECKING:
    from antiphon.rtc.dtls import Certificate
    from antiphon.rtc.sctp import DataChannel

__all__ = ["Call", "CallEnd", "CallEvents", "Means"]

_LOG = logging.getLogger(__name__)
_Ts = TypeVarTuple("_Ts")

_GOODBYE_S: Final = 1.0
"""For how long a call that its owner closes goes on to send what is queued."""


class CallEnd(enum.StrEnum):
    """Why a call is over."""

    HUNG_UP = "hung_up"
    """The peer closed the data channel or the connection."""
    SILENT = "silent"
    """The peer showed no sign of life for ``silent_s`` (a valid check, media, data): it crashed, or its network is
    gone."""
    UNREACHED = "unreached"
    """Not one valid check came within ``half_open_s``: something stands between the peer and the port."""
    NEVER_CONNECTED = "never_connected"
    """Checks came, but no encrypted connection within ``half_open_s``; or the peer never answered on the data
    channel."""
    REFUSED = "refused"
    """The handshake failed, or the peer's certificate was not the one that its offer names."""
    FAILED = "failed"
    """A fault of ours, here or in the owner's methods."""
    SHUT_DOWN = "shut_down"
    """Its owner closed it, or the endpoint ended."""

    @property
    def clean(self) -> bool:
        return self in (CallEnd.HUNG_UP, CallEnd.SHUT_DOWN)


class CallEvents(Protocol):
    """What the owner of a call hears, on the event loop. If one of these raises, the call ends as ``failed``.

    After ``Call.close`` nothing but ``closed`` follows.
    """

    def connected(self) -> None:
        """The encrypted connection is up."""

    def channel_opened(self, label: str) -> None:
        """The first data channel, whatever its label; others are closed."""

    def message_received(self, data: str | bytes) -> None:
        """``str`` for text, ``bytes`` for binary messages and for text that is not UTF-8."""

    def message_refused(self, size_bytes: int) -> None:
        """A message above ``MAX_MESSAGE_BYTES`` came, and was thrown away while it came. The channel lives."""

    def audio_received(self, pcm: bytes) -> None:
        """s16le mono 24 kHz; silence by the clock where nothing comes, from the first packet on."""

    def playout_started(self, tag: Hashable) -> None:
        """The first packet of this tag left."""

    def playout_ended(self, tag: Hashable, sent_samples: int) -> None:
        """All that was pushed of this tag has left; comes again if more is pushed later."""

    def playout_taken(self) -> None:
        """20 ms left the queue: there is room for more."""

    def closed(self, reason: CallEnd) -> None:
        """Exactly once, and last: nothing of the call is left but this object."""


class _Nobody:
    """Takes the owner's place when all is over, so that neither keeps the other alive. Nothing calls it."""


class Means:
    """What the calls of an endpoint share."""

    def __init__(
        self,
        settings: EndpointSettings,
        mux: Mux,
        pacer: Pacer,
        certificate: "Certificate",
        release: "Callable[[Call, CallEnd], None]",
    ) -> None:
        self.settings = settings
        self.mux = mux
        self.pacer = pacer
        self.certificate = certificate
        self.release = release


class Call:
    """Made by ``Endpoint.call``. All methods are for the event loop's thread."""

    def __init__(self, means: Means, offer: Offer, candidates: Sequence[Candidate], events: CallEvents) -> None:
        loop = asyncio.get_running_loop()
        self._means = means
        self._clock = loop.time
        self._events = events
        self._candidates = tuple(candidates)
        self._session_id = random.getrandbits(62)
        self._ssrc = random.getrandbits(32) or 1
        self._made_at_s = self._clock()
        self._queue = PlayoutQueue()
        self._ice = Ice(means.mux, self, self._made_at_s)
        self._dtls = means.certificate.dtls(self._ice.send, offer.fingerprints)
        self._own: asyncio.TaskGroup | None = None
        self._media: Media | None = None
        self._pacing: PacerHandle | None = None
        self._channel: DataChannel | None = None
        self._reason: CallEnd | None = None
        self._muted = False
        self._closing = False
        self._version = 0
        self._offer = offer
        try:
            self._agreed = self._negotiate(offer)
        except BaseException:
            self._ice.close()
            raise

    @property
    def answer(self) -> str:
        """The SDP answer to the last offer."""
        return self._agreed.answer

    @property
    def hears(self) -> bool:
        """The peer may send audio."""
        return self._agreed.hears

    @property
    def connected(self) -> bool:
        return self._media is not None

    def renegotiate(self, text: str) -> str:
        """Answers a further offer of the same connection. ``SdpError`` changes nothing."""
        offer = parse_offer(text)
        if self._reason is not None:
            raise SdpError("the call is over: make a new one")
        if not set(offer.fingerprints) & set(self._offer.fingerprints):
            raise SdpError("the offer is of another connection (its fingerprint differs): make a new call for it")
        if offer.ufrag != self._offer.ufrag:
            self._ice.restart()
        self._offer, self._agreed = offer, self._negotiate(offer)
        if self._media is not None:
            self._media.negotiated(self._agreed)
            if self._agreed.data and self._channel is None and self._own is not None:
                self._own.create_task(self._open_channel(), name="rtc data channel")
        return self.answer

    def send(self, message: str | bytes) -> None:
        """Queues a message on the data channel: up to 4 MiB, larger ones are a ``ValueError``.

        ``ConnectionError`` before the channel is open and after its end.
        """
        if self._channel is None or self._closing:
            raise ConnectionError("the data channel is not open")
        self._channel.send(message)

    @property
    def buffered_bytes(self) -> int:
        """What was given to ``send`` and has not arrived, about."""
        return self._channel.buffered_bytes if self._channel is not None else 0

    async def drained(self) -> None:
        """Waits until little (64 KiB) is buffered, or the channel is over."""
        if self._channel is not None:
            await self._channel.drained()

    def pause_messages(self) -> None:
        """Takes no further messages in: the peer has to keep them until ``resume_messages``."""
        if self._channel is not None:
            self._channel.pause()

    def resume_messages(self) -> None:
        if self._channel is not None and self._own is not None and self._reason is None:
            self._own.create_task(self._channel.resume(), name="rtc resume")

    def play(self, tag: Hashable, pcm: bytes) -> None:
        """Plays s16le mono 24 kHz after all that waits. There is no bound: look at ``playout_pending_s``."""
        if self._reason is None:
            self._queue.push(tag, pcm)

    def clear(self, drop: Callable[[Hashable], bool]) -> list[Cleared]:
        """Takes out all tags that ``drop`` names; silence is on the wire with the next frame."""
        return self._queue.clear(drop)

    def duck(self, on: bool) -> None:
        """Plays more quietly, or as loud as before, within one frame; ``clear`` ends it too."""
        self._queue.duck(on)

    @property
    def playout_pending_s(self) -> float:
        return self._queue.pending_samples / PLAYOUT_HZ

    def heard_delay_ms(self) -> int:
        """How long what leaves now is on its way to the user's ear, estimated."""
        return self._media.heard_delay_ms() if self._media is not None else 0

    def close(self) -> None:
        """Ends the call: sends what is queued on the channel, says goodbye. ``closed`` follows soon."""
        if self._closing or self._reason is not None:
            return
        self._closing = self._muted = True
        if self._channel is None or self._own is None:
            self.end(CallEnd.SHUT_DOWN)
        else:
            self._own.create_task(self._say_goodbye(self._channel), name="rtc goodbye")

    # For the endpoint

    async def live(self) -> None:
        """The call's life, to its end; it raises nothing."""
        reason = CallEnd.SHUT_DOWN
        try:
            reason = await self._live()
        except Exception:
            _LOG.exception("a call failed")
            reason = CallEnd.FAILED
        finally:
            await self._leave(reason)

    def end(self, reason: CallEnd) -> None:
        """Without a goodbye on the channel. The first reason counts; the call's task does the rest."""
        if self._reason is None:
            self._reason = reason
            self._dtls.interrupt()

    def excuse(self, stalled_s: float) -> None:
        """For so long we did not listen, so that the peer's silence means nothing."""
        self._made_at_s += stalled_s
        self._ice.alive_at_s += stalled_s

    def look(self, now_s: float) -> None:
        """Ends the call if its peer keeps it waiting for too long."""
        settings = self._means.settings
        if self._media is None and now_s - self._made_at_s > settings.half_open_s:
            self.end(CallEnd.UNREACHED if self._ice.path is None else CallEnd.NEVER_CONNECTED)
        elif now_s - self._ice.alive_at_s > settings.silent_s:
            self.end(CallEnd.SILENT)

    # What arrives (mux.Receiver)

    def check_arrived(self, request: BindingRequest, path: Path) -> None:
        self._guard(self._ice.check, request, path, self._clock())

    def dtls_arrived(self, datagram: bytes) -> None:
        if not self._dtls.feed(datagram):
            self.packet_dropped("dtls")

    def media_arrived(self, datagram: bytes) -> None:
        if self._media is None:
            self.packet_dropped("media_early")
        else:
            self._guard(self._hear, self._media, datagram)

    def _hear(self, media: Media, datagram: bytes) -> None:
        now_s = self._clock()
        if media.arrived(datagram, now_s, self):
            self._ice.alive_at_s = now_s

    def path_lost(self, path: Path) -> None:
        self._ice.lost(path)

    # What the data channel tells (sctp.ChannelEvents)

    def channel_opened(self, label: str) -> None:
        self._tell(self._events.channel_opened, label)

    def message_received(self, data: str | bytes) -> None:
        self._tell(self._events.message_received, data)

    def message_refused(self, size_bytes: int) -> None:
        self._tell(self._events.message_refused, size_bytes)

    def channel_ended(self, opened: bool) -> None:
        self.end(CallEnd.HUNG_UP if opened else CallEnd.NEVER_CONNECTED)

    def packet_dropped(self, reason: str) -> None:
        self._means.mux.dropped[reason] += 1

    def faulted(self, error: Exception) -> None:
        _LOG.error("a call's data channel failed", exc_info=error)
        self.end(CallEnd.FAILED)

    # What the audio tells (media.MediaEvents)

    def audio_received(self, pcm: bytes) -> None:
        self._tell(self._events.audio_received, pcm)

    def playout_started(self, tag: Hashable) -> None:
        self._tell(self._events.playout_started, tag)

    def playout_ended(self, tag: Hashable, sent_samples: int) -> None:
        self._tell(self._events.playout_ended, tag, sent_samples)

    def playout_taken(self) -> None:
        self._tell(self._events.playout_taken)

    # Its life

    def _negotiate(self, offer: Offer) -> Negotiated:
        self._version += 1
        local = Local(
            session_id=self._session_id,
            version=self._version,
            ufrag=self._ice.credentials.ufrag,
            pwd=self._ice.credentials.pwd,
            fingerprint=self._means.certificate.fingerprint,
            candidates=self._candidates,
            ssrc=self._ssrc,
            max_message_size=MAX_MESSAGE_BYTES,
        )
        return negotiate(offer, local)

    async def _live(self) -> CallEnd:
        if not await self._dtls.handshake():
            return self._reason or CallEnd.REFUSED
        async with asyncio.TaskGroup() as self._own:
            self._connect()
            if self._agreed.data:
                await self._open_channel()
            await self._dtls.pump(self._data_arrived)
            reason = self._reason or CallEnd.HUNG_UP
            self._reason = reason
            if self._channel is not None:
                await self._channel.stop()
        return reason

    def _connect(self) -> None:
        means = self._means
        assert self._dtls.srtp is not None
        self._media = Media(
            means.settings, self._dtls.srtp, self._ice.send, self._queue, self._ssrc, means.mux.dropped, self._clock()
        )
        self._media.negotiated(self._agreed)
        self._pacing = means.pacer.add(self._tick)
        self._tell(self._events.connected)

    async def _open_channel(self) -> None:
        from antiphon.rtc.sctp import DataChannel

        if self._channel is None:
            self._channel = DataChannel(self._dtls.send_data, self)
            await self._channel.start(self._offer.sctp_port or 5000)

    async def _data_arrived(self, packet: bytes) -> None:
        self._ice.alive_at_s = self._clock()
        if self._channel is None:
            self.packet_dropped("data_early")
        else:
            await self._channel.receive(packet)

    async def _say_goodbye(self, channel: "DataChannel") -> None:
        await channel.close(_GOODBYE_S)
        self.end(CallEnd.SHUT_DOWN)

    def _tick(self, now_s: float) -> None:
        if self._media is not None:
            self._guard(self._media.tick, now_s, self)

    async def _leave(self, reason: CallEnd) -> None:
        """Lets go of everything, then tells so, whatever fails on the way."""
        self._reason = self._reason or reason
        try:
            await self._let_go()
        except Exception:
            _LOG.exception("the end of a call failed")
        finally:
            self._means.release(self, reason)
            self._media = self._pacing = self._channel = self._own = None
            owner, self._events = self._events, cast(CallEvents, _Nobody())
            try:
                owner.closed(reason)
            except Exception:
                _LOG.exception("the owner of a call failed")

    async def _let_go(self) -> None:
        if self._pacing is not None:
            self._means.pacer.remove(self._pacing)
        if self._media is not None:
            self._media.close()
        self._queue.clear(lambda tag: True)
        try:
            if self._channel is not None:
                await self._channel.stop()
            await self._dtls.stop()
        finally:
            self._ice.close()

    def _tell(self, tell: Callable[[*_Ts], None], *arguments: *_Ts) -> None:
        if not self._muted and self._reason is None:
            self._guard(tell, *arguments)

    def _guard(self, step: Callable[[*_Ts], None], *arguments: *_Ts) -> None:
        try:
            step(*arguments)
        except Exception:
            _LOG.exception("a call failed")
            self.end(CallEnd.FAILED)
