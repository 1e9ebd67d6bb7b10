"""The API's errors as exceptions: ``error`` events on a connection, error bodies over HTTP."""

from antiphon.protocol.server_events import Error, ErrorBody

__all__ = ["ProtocolError"]


class ProtocolError(Exception):
    """A peer's mistake. It becomes one ``error`` event; the session goes on and is unchanged.

    ``param`` is the dotted path of the offending field; ``event_id`` that of the client event, where it was readable.
    """

    def __init__(
        self,
        code: str,
        message: str,
        param: str | None = None,
        *,
        event_id: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.event_id = event_id
        self.type = type

    def as_event(self, event_id: str) -> Error:
        """The ``error`` event; ``event_id`` is the new event's own id."""
        body = ErrorBody(type=self.type, code=self.code, message=self.message, param=self.param, event_id=self.event_id)
        return Error(event_id=event_id, error=body)
