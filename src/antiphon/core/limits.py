"""Bounds of one session. Everything that a peer can make grow has one."""

from dataclasses import dataclass

from antiphon.protocol.json_text import NESTING_MAX

__all__ = ["Limits"]

_EVENT_BYTES = 16 * 1024
"""Kept free for the event around an item."""


@dataclass(frozen=True, slots=True)
class Limits:
    session_max_s: float = 3600.0
    audio_bytes: int = 32 * 1024 * 1024
    """All audio kept by the session: input buffer and items together."""
    manual_buffer_s: float = 300.0
    """Input audio kept while turn detection is off: the newest 5 minutes."""
    idle_buffer_s: float = 1.0
    """Input audio kept beside the prefix padding while nobody speaks."""
    frame_bytes: int = 1_000_000
    """Largest event; ``conversation.item.retrieved`` leaves its audio out above it."""
    items: int = 4_096
    """Items of the conversation. A client's item beyond is refused; turns and answers push out the oldest."""
    parts_per_item: int = 64
    text_bytes: int = 4 * 1024 * 1024
    """JSON of all items that the client made, audio and images left out."""
    images: int = 16
    """Images of the conversation, and as many in the own input of the responses that run."""
    image_bytes: int = 16 * 1024 * 1024
    """Data URLs of all items together."""
    image_file_bytes: int = 10 * 1024 * 1024
    """One image, decoded from base64."""
    image_pixels: int = 16 * 1024 * 1024
    """Width by height of one image."""
    image_deadline_s: float = 60.0
    """How long the reader may take for an image, those before it included."""
    instructions_bytes: int = 256 * 1024
    tools: int = 128
    tools_bytes: int = 256 * 1024
    nesting: int = NESTING_MAX
    """Levels of objects and arrays in one event."""
    out_of_band_responses: int = 8
    mcp_hosts: tuple[str, ...] = ()
    """Hosts of MCP servers that a client may name; none: it may name no server."""
    mcp_servers: int = 16
    """Labels under which a session may define MCP servers."""
    mcp_tools: int = 128
    """Tools of one MCP server; their descriptions together hold ``tools_bytes``."""
    mcp_calls: int = 8
    """Calls of MCP tools at a time."""
    mcp_output_bytes: int = 64 * 1024
    """Kept of the output of a call; what lists and outputs hold together is ``text_bytes``."""
    mcp_list_s: float = 15.0
    mcp_call_s: float = 60.0
    transcription_deadline_s: float = 30.0
    """How long the recogniser may take, beside the length of the audio."""
    context_tokens: int = 4_096
    """What the language model can read and write in one generation."""
    output_reserve_tokens: int = 512
    """Kept free for the answer where a response does not say how long it may be."""

    @property
    def room_bytes(self) -> int:
        """JSON that an item or a session may have in an event."""
        return self.frame_bytes - _EVENT_BYTES
