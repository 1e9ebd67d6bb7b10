"""Whether a request comes from this machine itself."""

from starlette.requests import HTTPConnection

from antiphon.web.hosts import is_loopback, split_host

__all__ = ["is_from_this_machine"]

_SENT_BY_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


def is_from_this_machine(connection: HTTPConnection) -> bool:
    """Whether it came over loopback, to a loopback ``Host``, and no proxy says that it passed it on."""
    client = connection.client
    hosts = connection.headers.getlist("host")
    host = split_host(hosts[0]) if len(hosts) == 1 else None
    return (
        client is not None
        and is_loopback(client.host)
        and host is not None
        and is_loopback(host[0])
        and not any(name in connection.headers for name in _SENT_BY_PROXIES)
    )
