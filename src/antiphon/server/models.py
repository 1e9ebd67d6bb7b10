"""``GET /v1/models``: what answers here, under its own name and under one that clients ask for."""

from collections.abc import Iterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from antiphon.engines.registry import EngineKind
from antiphon.server.auth import presented_key, require_key
from antiphon.server.context import Context, context_of
from antiphon.server.errors import ApiError

__all__ = ["DEFAULT_MODEL", "check_model", "get_model", "list_models"]

DEFAULT_MODEL = "gpt-realtime"
"""Any model name is accepted and mapped to the engines that are there; this is the one that clients know."""
_OWNER = "antiphon"
_MODEL_MAX_CHARS = 256
_SHOWN = (EngineKind.LLM, EngineKind.STT, EngineKind.TTS)


def check_model(name: str) -> None:
    """Raises ``ApiError`` for what cannot be the name of a model."""
    if len(name) > _MODEL_MAX_CHARS or not name.isprintable():
        raise ApiError(400, "Invalid value for 'model'.", code="invalid_value", param="model")


async def list_models(request: Request) -> Response:
    context = _authenticated(request)
    return _json({"object": "list", "data": [_model(context, name) for name in _names(context)]})


async def get_model(request: Request) -> Response:
    context = _authenticated(request)
    name: str = request.path_params["model"]
    if name not in _names(context):
        raise ApiError(404, "The model does not exist; GET /v1/models lists those that do.", code="model_not_found")
    return _json(_model(context, name))


def _authenticated(request: Request) -> Context:
    context = context_of(request)
    require_key(context.keyring, presented_key(request.headers))
    return context


def _names(context: Context) -> Iterator[str]:
    yield DEFAULT_MODEL
    names = (context.engines[kind].info.name for kind in _SHOWN if kind in context.engines)
    yield from dict.fromkeys("-".join(name.split()) for name in names)


def _model(context: Context, name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": context.started_at_unix_s, "owned_by": _OWNER}


def _json(body: dict[str, object]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
