"""Reading one HTTP/1.1 response from bytes as they come. Pure."""

__all__ = ["HttpReader"]

_LONGEST_HEAD_BYTES = 64 * 1024


class HttpReader:
    """Feed it what the connection gives; it returns the body's bytes.

    Raises ``ValueError`` on what is no response.
    """

    def __init__(self) -> None:
        self.status = 0
        """0 until the head was read."""
        self.complete = False
        self._buffer = bytearray()
        self._chunked = False
        self._left = 0
        """Bytes of the body, or of its chunk, still to come."""
        self._chunk_ends = False
        """The line end behind a chunk comes next."""

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        if not self.status and not self._read_head():
            return b""
        return self._read_chunks() if self._chunked else self._read_plain()

    def _read_head(self) -> bool:
        head, mark, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not mark:
            if len(self._buffer) > _LONGEST_HEAD_BYTES:
                raise ValueError("the head has no end")
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = first.partition(" ")
        if not version.startswith("HTTP/1.") or not status[:3].isdigit():
            raise ValueError("not an HTTP response")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self._left = 0 if self._chunked else int(headers.get("content-length", "0"))
        self.status = int(status[:3])
        self._buffer = bytearray(rest)
        return True

    def _read_plain(self) -> bytes:
        body = bytes(self._buffer[: self._left])
        self._buffer.clear()
        self._left -= len(body)
        self.complete = self._left == 0
        return body

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while not self.complete and self._read_more(body):
            pass
        return bytes(body)

    def _read_more(self, body: bytearray) -> bool:
        """Read on in a chunk, or a line; False if the bytes do not suffice."""
        if self._left:
            piece = self._buffer[: self._left]
            body += piece
            del self._buffer[: len(piece)]
            self._left -= len(piece)
            self._chunk_ends = self._left == 0
            return bool(piece)
        line, mark, rest = bytes(self._buffer).partition(b"\r\n")
        if not mark:
            return False
        self._buffer = bytearray(rest)
        if self._chunk_ends:
            self._chunk_ends = False
        else:
            self._left = int(line.split(b";")[0], 16)
            self.complete = self._left == 0
        return True
