"""What is secret in a setting, and how it is shown instead."""

import re
from typing import Any

from pydantic import SecretStr

__all__ = ["mask"]

_MASKED = "***"
_SECRET_WORDS = ("key", "token", "password", "secret", "authorization", "credential")
_URL_PASSWORD = re.compile(r"(?P<before>://[^/@\s:]*):[^/@\s]*@")
_URL_SECRET = re.compile(rf"(?P<name>[?&][^=&\s]*(?:{'|'.join(_SECRET_WORDS)})[^=&\s]*)=[^&\s]*", re.IGNORECASE)
_NO_SECRETS = ("tls_key",)
"""Names that only look secret: a path may be shown."""


def _is_secret_name(name: str) -> bool:
    """Whether a setting of this name is never to be shown."""
    return name not in _NO_SECRETS and any(word in name.lower() for word in _SECRET_WORDS)


def mask(name: str, value: Any) -> Any:
    """``value`` fit to be shown: nothing of a secret, and no password or key inside a URL."""
    if isinstance(value, dict):
        return {key: mask(key, inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [mask(name, inner) for inner in value]
    if isinstance(value, SecretStr) or (_is_secret_name(name) and not isinstance(value, bool) and value):
        return _MASKED
    if isinstance(value, str):
        return _URL_SECRET.sub(rf"\g<name>={_MASKED}", _URL_PASSWORD.sub(rf"\g<before>:{_MASKED}@", value))
    return value
