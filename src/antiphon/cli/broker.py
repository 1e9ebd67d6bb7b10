"""``antiphon broker``: the session endpoint as a server of its own, for pages in the making."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from antiphon.broker import BrokerSettings, BrokerSettingsError, create_broker
from antiphon.server.listen import bind, port_of
from antiphon.server.logs import configure_logging
from antiphon.server.uvicorn_protocols import HttpProtocol
from antiphon.web.hosts import display_host, is_loopback

__all__ = ["broker"]


@click.command()
@click.option("--upstream", required=True, help="Base URL of the Realtime server: http://127.0.0.1:8000/v1.")
@click.option("--api-key-env", default="", metavar="NAME", help="Environment variable that holds the key for it.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="0 takes a free one.")
@click.option("--path", default="/api/realtime", show_default=True, help="Where the endpoint is mounted.")
@click.option(
    "--pages",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pages to serve beside it; all of it can be read.",
)
@click.option(
    "--session",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON of what every session begins with.",
)
@click.option("--allow-origin", "origins", multiple=True, metavar="ORIGIN", help="Pages of this origin may call too.")
@click.option("--allow-anonymous", is_flag=True, help="Answer everybody, not this machine alone.")
def broker(
    upstream: str,
    api_key_env: str,
    host: str,
    port: int,
    path: str,
    pages: Path | None,
    session: Path | None,
    origins: Sequence[str],
    allow_anonymous: bool,
) -> int:
    """Serve the session endpoint by itself.

    Nobody is asked who they are: off loopback that takes --allow-anonymous. An application mounts the endpoint instead,
    with a function that knows its users.
    """
    if not (allow_anonymous or is_loopback(host)):
        raise click.UsageError(f"on {host} everybody could call at your cost: add --allow-anonymous if that is meant")
    if not path.startswith("/") or "{" in path:
        raise click.UsageError("--path must begin with / and is taken as it stands")
    try:
        settings = BrokerSettings(
            upstream=upstream,
            api_key_env=api_key_env,
            session=_session(session),
            allowed_origins=tuple(origins),
            allow_anonymous=allow_anonymous,
        )
    except BrokerSettingsError as error:
        raise click.UsageError(str(error)) from error
    endpoint = create_broker(settings)
    routes: list[BaseRoute] = [Mount(path, endpoint)]
    if pages is not None:
        routes.append(Mount("/", StaticFiles(directory=pages, html=True)))
    app = Starlette(routes=routes, lifespan=endpoint.lifespan)
    configure_logging("text", "info")
    sockets = bind(host, port)
    for bound in sockets:
        bound.listen()  # so that whoever reads the address below can connect
    address = f"http://{display_host(host)}:{port_of(sockets)}"
    click.echo(f"Session endpoint: {address}{path.rstrip('/')}/session")
    if pages is not None:
        click.echo(f"Pages: {address}/")
    uvicorn.Server(_uvicorn_config(app)).run(sockets)
    return 0


def _session(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        raise click.UsageError(f"{path}: {error}") from error


def _uvicorn_config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever is behind a proxy is not this machine.
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
