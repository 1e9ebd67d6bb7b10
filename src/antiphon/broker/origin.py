"""Which web pages may call. Requests of other sites' pages are refused before anything else is done.

A browser sends an offer as ``text/plain`` without asking first, and it sends the application's cookies along; so what
it says of the calling page is checked here: ``Origin``, and ``Sec-Fetch-Site``, which no page can forge. A request
without either comes from a program that is no browser, and has no user's cookies.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from starlette.datastructures import Headers

from antiphon.web.errors import ApiError
from antiphon.web.hosts import normal_origin, split_host

__all__ = ["PageRules"]

_SITES_OF_OURS: Final = frozenset({"same-origin", "none"})
"""Said of the application's own pages, and of what the user does without any page."""
_METHODS: Final = "POST, DELETE"
_HEADERS: Final = "authorization, content-type"
_PREFLIGHT_MAX_AGE_S: Final = 600


class PageRules:
    """The application's own origin may call, and those of ``allowed``; under a name of ``hosts``, if there are any."""

    def __init__(self, allowed: Iterable[str], hosts: Iterable[str] = ()) -> None:
        self._allowed = frozenset(origin for text in allowed if (origin := normal_origin(text)))
        self._hosts = frozenset(host.lower().removesuffix(".") for host in hosts)

    def check(self, headers: Headers, scheme: str) -> Mapping[str, str]:
        """The CORS headers of the answer, none for our own pages. Raises ``ApiError`` for pages that may not call."""
        if self._hosts and not self._hosts.issuperset(_names(headers)):
            raise ApiError(421, "This endpoint does not answer to that host name.", code="host_not_allowed")
        origins = headers.getlist("origin")
        sites = [site.strip().lower() for site in headers.getlist("sec-fetch-site")]
        origin = normal_origin(origins[0]) if len(origins) == 1 else None
        if origins and origin is None:
            raise _cross_site()
        if origin is not None and origin in self._allowed:
            return _cors(origins[0])
        if not _SITES_OF_OURS.issuperset(sites):
            raise _cross_site()
        if origin is not None and origin != _own_origin(headers, scheme, origin, vouched="same-origin" in sites):
            raise _cross_site()
        return {}

    def preflight(self, headers: Headers, cors: Mapping[str, str]) -> Mapping[str, str] | None:
        """The headers that answer a preflight of an allowed page; None: it is none."""
        if not cors or "access-control-request-method" not in headers:
            return None
        return {
            **cors,
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": str(_PREFLIGHT_MAX_AGE_S),
        }


def _names(headers: Headers) -> list[str]:
    """What ``Host`` says, without its port; "" where it says nothing that can be understood."""
    hosts = [split_host(host) for host in headers.getlist("host")]
    return [host[0] if host is not None else "" for host in hosts] or [""]


def _own_origin(headers: Headers, scheme: str, origin: str, *, vouched: bool) -> str | None:
    """Our origin as the browser sees it, by ``Host``.

    Behind a proxy that ends TLS we see ``http`` where the browser sees ``https``. Where the browser itself vouches for
    the page with ``Sec-Fetch-Site: same-origin``, the scheme is the one that it says.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        return None
    return normal_origin(f"{origin.partition('://')[0] if vouched else scheme}://{hosts[0]}")


def _cors(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Location, Retry-After",
    }


def _cross_site() -> ApiError:
    message = "Pages of other sites may not call this endpoint; allowed_origins can name those that may."
    return ApiError(403, message, code="cross_site_request")
