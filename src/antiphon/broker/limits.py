"""How many requests an address or a user may send, in bounded memory."""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

from antiphon.broker.settings import Limit
from antiphon.web.errors import ApiError

__all__ = ["RateLimiter", "caller_address"]

_KNOWN_MAX: Final = 10_000
_IPV6_NETWORK_BITS: Final = 64
"""What one subscriber has; within it addresses can be changed at will."""


class RateLimiter:
    """One allowance for each name. When too many are known, the one unused for longest is forgotten."""

    def __init__(self, limit: Limit | None, now: Callable[[], float], *, known_max: int = _KNOWN_MAX) -> None:
        self._limit = limit
        self._now = now
        self._known_max = known_max
        self._allowances: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What was left, and when."""

    def take(self, name: str) -> None:
        """Count one request. Raises ``ApiError`` (429) where there is none left; then nothing is counted."""
        limit = self._limit
        if limit is None:
            return
        now = self._now()
        left, since = self._allowances.pop(name, (float(limit.requests), now))
        left = min(limit.requests, left + (now - since) * limit.requests / limit.per_s)
        allowed = left >= 1.0
        self._allowances[name] = (left - 1.0 if allowed else left, now)
        if len(self._allowances) > self._known_max:
            self._allowances.popitem(last=False)
        if not allowed:
            wait_s = max(1, math.ceil((1.0 - left) * limit.per_s / limit.requests))
            message = f"Too many requests; try again in {wait_s} s."
            headers = {"Retry-After": str(wait_s)}
            raise ApiError(429, message, code="rate_limit_exceeded", type="rate_limit_error", headers=headers)


def caller_address(request: Request, header: str) -> str:
    """The address that counts for limits: the peer's, or the last one in ``header``, which the nearest proxy wrote."""
    peer = request.client.host if request.client is not None else ""
    values = request.headers.getlist(header) if header else []
    told = _network(values[-1].rpartition(",")[2].strip()) if values else None
    return told or _network(peer) or peer


def _network(text: str) -> str | None:
    """An IPv4 address, or the network of an IPv6 address; None for anything else."""
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))
