"""What the parts of the HTTP application share; one for each process."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.requests import HTTPConnection

from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.runtime.sessions import Sessions
from antiphon.server.auth import Keyring
from antiphon.server.call_registry import Calls
from antiphon.server.client_secrets import ClientSecrets
from antiphon.server.observe import ServerObserver
from antiphon.server.settings import Settings

__all__ = ["Context", "Readiness", "context_of"]


class Readiness(StrEnum):
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(slots=True)
class Context:
    settings: Settings
    engines: Mapping[EngineKind, Engine]
    sessions: Sessions
    calls: Calls
    observer: ServerObserver
    keyring: Keyring
    secrets: ClientSecrets
    readiness: Readiness = Readiness.WARMING
    started_at_unix_s: int = field(default_factory=lambda: int(time.time()))


def context_of(connection: HTTPConnection) -> Context:
    context: Context = connection.app.state.context
    return context
