"""The session object in force, shared by the sub-machines so that all of them see an update at once."""

from dataclasses import dataclass

from antiphon.protocol.session_config import AudioInput, RealtimeSession, SessionObject

__all__ = ["Settings"]


@dataclass(slots=True)
class Settings:
    session: SessionObject
    voice_heard: str | None = None
    """The voice of the assistant audio that was sent: it can no longer change."""

    @property
    def input(self) -> AudioInput:
        return self.session.audio.input

    @property
    def realtime(self) -> RealtimeSession | None:
        """The session where it is a conversation; None where it only transcribes."""
        return self.session if isinstance(self.session, RealtimeSession) else None

    @property
    def answers_turns(self) -> bool:
        """Whether a turn that was detected is answered of itself."""
        detection = self.input.turn_detection
        return self.realtime is not None and detection is not None and detection.create_response
