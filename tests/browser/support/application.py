"""An application of the Realtime API: pages, and the endpoint that keeps its key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from antiphon.broker import BrokerSettings, create_broker
from scripts.clients import ensure
from tests.support.mcp_server import running_app

__all__ = ["PAGES", "page_routes", "running_application"]

PAGES: Final = Path(__file__).parents[1] / "pages"


def page_routes() -> list[BaseRoute]:
    """Every file of ``pages``, under its name."""
    return [Route(f"/{path.name}", _file, methods=["GET"]) for path in sorted(PAGES.iterdir())]


async def _file(request: Request) -> Response:
    return FileResponse(PAGES / request.url.path.removeprefix("/"))


@asynccontextmanager
async def running_application(upstream: str, key: str) -> AsyncIterator[str]:
    """Its address; what its pages need of the server goes through ``/api/realtime``."""
    broker = create_broker(BrokerSettings(upstream=upstream, api_key=key))
    bundle = ensure("agents_js").node_modules / "@openai" / "agents-realtime" / "dist" / "bundle"
    mounts = [Mount("/api/realtime", broker), Mount("/agents", StaticFiles(directory=bundle))]
    app = Starlette(routes=[*page_routes(), *mounts], lifespan=broker.lifespan)
    async with running_app(app) as served:
        yield f"http://{served.host}"
