"""What ``antiphon serve`` says when it starts: where it is, what answers, and how to point clients at it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from antiphon import __version__
from antiphon.server.models import DEFAULT_MODEL
from antiphon.server.settings import Settings
from antiphon.web.hosts import display_host

__all__ = ["banner"]

_SHOUT = (
    "!! SCRIPTED ENGINES: there is no model behind this server.",
    "!! Every answer comes from a script. It is for tests of clients, and for nothing else.",
)


def banner(
    settings: Settings,
    *,
    port: int,
    authority: Path | None,
    engines: Sequence[str],
    calls: str = "",
    notes: Sequence[str] = (),
    is_scripted: bool = False,
) -> Sequence[str]:
    """``authority``: the certificate that clients must trust, where it is our own; ``calls``: where they are taken."""
    host = f"{display_host(settings.host)}:{port}"
    web, ws = (f"https://{host}", f"wss://{host}") if settings.has_tls else (f"http://{host}", f"ws://{host}")
    key = "<key>" if settings.keys_required else "any"
    lines = ["", *_SHOUT, ""] if is_scripted else [""]
    lines += [
        f"antiphon {__version__}",
        f"  WebSocket  {ws}/v1/realtime",
        f"  WebRTC     {_webrtc(settings, web, calls)}",
        f"  HTTP       {web}/v1  ({web}/readyz, {web}/metrics)",
        f"  Keys       {_keys(settings)}",
    ]
    lines += [f"  {'Engines' if number == 0 else '':<9}  {line}" for number, line in enumerate(engines)]
    lines += [f"  Note       {note}" for note in notes]
    if settings.record_dir is not None:
        lines.append(f"  Note       RECORDING: everything said in every session is written to {settings.record_dir}")
    if authority is not None:
        lines.append(f"  Trust      {authority}  (browsers: import it; Node and Python: the lines below)")
    return [*lines, "", "Use it with", *_clients(web, ws, key, authority), "", "Warming up ..."]


def _webrtc(settings: Settings, web: str, calls: str) -> str:
    if calls:
        return f"{web}/v1/realtime/calls  ({calls})"
    return "not installed: pip install 'antiphon[webrtc]'" if settings.rtc else "off"


def _keys(settings: Settings) -> str:
    if not settings.keys_required:
        return "any key is accepted: none is configured, and only this machine can connect"
    count = len(settings.api_keys)
    return f"{count} configured; clients must send {'it' if count == 1 else 'one of them'}"


def _clients(web: str, ws: str, key: str, authority: Path | None) -> Iterator[str]:
    url = f"{ws}/v1/realtime?model={DEFAULT_MODEL}"
    trust_python = f"SSL_CERT_FILE={authority} " if authority is not None else ""
    yield f"  openai, Python        {trust_python}OPENAI_BASE_URL={web}/v1 OPENAI_API_KEY={key} python app.py"
    if web.startswith("https"):
        trust_node = f"NODE_EXTRA_CA_CERTS={authority} " if authority is not None else ""
        yield f"  openai, Node          {trust_node}OPENAI_BASE_URL={web}/v1 OPENAI_API_KEY={key} node app.mjs"
    else:
        yield "  openai, Node          speaks wss only: start with --tls-self-signed"
    yield f'  openai-agents, Python RealtimeRunner(agent).run(model_config={{"url": "{url}", "api_key": "{key}"}})'
    yield f'  agents-realtime, JS   new OpenAIRealtimeWebSocket({{ url: "{url}" }})'
    yield f'  LiveKit Agents        openai.realtime.RealtimeModel(base_url="{web}/v1", api_key="{key}")'
    yield f'  Pipecat               OpenAIRealtimeLLMService(base_url="{ws}/v1/realtime", api_key="{key}")'
