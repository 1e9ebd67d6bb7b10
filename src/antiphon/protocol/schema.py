"""JSON Schema of the wire types: ``python -m antiphon.protocol.schema`` prints it.

One document (draft 2020-12): all types under ``$defs``; ``x-groups`` maps each event type and each HTTP body to its
definition. Fields that may be left out are not required; null is allowed only where the wire allows it.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from antiphon.protocol import rest
from antiphon.protocol.beta.session import (
    BetaSession,
    BetaSessionUpdate,
    BetaTranscriptionSession,
    BetaTranscriptionSessionUpdate,
)
from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.server_events import ServerEvent

__all__ = ["json_schema"]

_BODIES: Final[Mapping[str, type]] = {
    "POST /v1/realtime/client_secrets": rest.ClientSecretRequest,
    "POST /v1/realtime/client_secrets 200": rest.ClientSecretResponse,
    "POST /v1/realtime/calls": rest.CallCreateRequest,
    "POST /v1/realtime/calls/{call_id}/accept": rest.CallAcceptRequest,
    "POST /v1/realtime/calls/{call_id}/refer": rest.CallReferRequest,
    "POST /v1/realtime/calls/{call_id}/reject": rest.CallRejectRequest,
    "POST /v1/realtime/sessions": BetaSessionUpdate,
    "POST /v1/realtime/sessions 200": BetaSession,
    "POST /v1/realtime/transcription_sessions": BetaTranscriptionSessionUpdate,
    "POST /v1/realtime/transcription_sessions 200": BetaTranscriptionSession,
    "GET /v1/models 200": rest.ModelList,
    "error": rest.HttpErrorBody,
}


def json_schema() -> dict[str, Any]:
    """The schema of every event and HTTP body."""
    client, server = get_args(ClientEvent), get_args(ServerEvent)
    all_types = list(dict.fromkeys((*client, *server, *_BODIES.values())))
    refs, definitions = msgspec.json.schema_components(all_types, ref_template="#/$defs/{name}")
    by_type = dict(zip(all_types, refs, strict=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Realtime API",
        "x-groups": {
            "client_events": {one.__struct_config__.tag: by_type[one] for one in client},
            "server_events": {one.__struct_config__.tag: by_type[one] for one in server},
            "http_bodies": {name: by_type[body] for name, body in _BODIES.items()},
        },
        "$defs": dict(sorted(definitions.items())),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
