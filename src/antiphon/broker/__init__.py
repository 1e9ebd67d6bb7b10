"""The endpoint that an application puts between its browsers and a Realtime server.

The application's key stays on the application's server. A page sends its WebRTC offer, or asks for a client secret::

    broker = create_broker(BrokerSettings(upstream="http://127.0.0.1:8000/v1"), authorize=who_is_it)
    app = Starlette(routes=[Mount("/api/realtime", broker)], lifespan=broker.lifespan)

Mounted so, it answers at ``POST /api/realtime/session``.
"""

from antiphon.broker.endpoint import Broker, create_broker
from antiphon.broker.hooks import Authorize, RefusedError, RequestedSession, SessionDefaults
from antiphon.broker.settings import BrokerSettings, BrokerSettingsError, Limit

__all__ = [
    "Authorize",
    "Broker",
    "BrokerSettings",
    "BrokerSettingsError",
    "Limit",
    "RefusedError",
    "RequestedSession",
    "SessionDefaults",
    "create_broker",
]
