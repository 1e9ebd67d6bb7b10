"""The answering half of ICE for one call: learns a peer's addresses from its checks (RFC 8445 section 2.5, "lite")."""

import secrets
from dataclasses import dataclass
from typing import Final

from antiphon.rtc.mux import Mux, Path, Receiver
from antiphon.rtc.stun import BindingRequest, binding_response

__all__ = ["Credentials", "Ice"]

_MAX_PATHS: Final = 16
_TAKEN_S: Final = 10.0
"""For how long after its last check an address stays with its call, whoever else claims it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    ufrag: str
    pwd: str


class Ice:
    """Names, passwords and addresses of one call. Only checks that are signed with its password teach it anything."""

    def __init__(self, mux: Mux, receiver: Receiver, now_s: float) -> None:
        self._mux = mux
        self._receiver: Receiver | None = receiver
        self._paths: list[Path] = []
        self._valid: dict[str, Credentials] = {}
        self.alive_at_s = now_s
        """When the peer last showed that it is there. Not all go on with checks once they are connected."""
        self.path: Path | None = None
        """Where to send."""
        self.credentials = self._new()
        self._chosen = self.credentials
        """Those of the pair in use: after a restart the ones before, until the peer nominates a new pair."""

    def restart(self) -> None:
        """New credentials; those in use stay valid until the peer has chosen a pair with the new ones."""
        if self.credentials is not self._chosen:
            self._revoke(self.credentials)
        self.credentials = self._new()

    def check(self, request: BindingRequest, path: Path, now_s: float) -> None:
        """Answers a check and learns from it, if its signature is right."""
        credentials = self._valid.get(request.username.partition(":")[0])
        if credentials is None or not request.verify(credentials.pwd.encode()):
            self._mux.dropped["wrong_password"] += 1
            return
        if path.receiver not in (None, self._receiver) and now_s - path.checked_at_s < _TAKEN_S:
            self._mux.dropped["address_taken"] += 1
            return
        self.alive_at_s = path.checked_at_s = now_s
        self._learn(path)
        path.send(binding_response(request, path.address, credentials.pwd.encode()))
        if self.path is None or request.use_candidate:
            self.path = path
            if credentials is not self._chosen:
                self._revoke(self._chosen)
                self._chosen = credentials

    def send(self, datagram: bytes) -> None:
        if self.path is not None:
            self.path.send(datagram)

    def lost(self, path: Path) -> None:
        """A path is not ours any more: the one checked last takes its place."""
        if path in self._paths:
            self._paths.remove(path)
        if self.path is path:
            self.path = max(self._paths, key=lambda other: other.checked_at_s, default=None)

    def close(self) -> None:
        for ufrag in self._valid:
            self._mux.unregister(ufrag)
        self._valid.clear()
        paths, self._paths, self.path, self._receiver = self._paths, [], None, None
        for path in paths:
            path.unbind()

    def _learn(self, path: Path) -> None:
        if path in self._paths or self._receiver is None:
            return
        if len(self._paths) >= _MAX_PATHS:
            oldest = min(
                (other for other in self._paths if other is not self.path), key=lambda other: other.checked_at_s
            )
            self._paths.remove(oldest)
            oldest.unbind()
        self._paths.append(path)
        path.bind(self._receiver)

    def _new(self) -> Credentials:
        credentials = Credentials(secrets.token_hex(8), secrets.token_hex(16))
        if self._receiver is not None:
            self._mux.register(credentials.ufrag, self._receiver)
            self._valid[credentials.ufrag] = credentials
        return credentials

    def _revoke(self, credentials: Credentials) -> None:
        self._valid.pop(credentials.ufrag, None)
        self._mux.unregister(credentials.ufrag)
