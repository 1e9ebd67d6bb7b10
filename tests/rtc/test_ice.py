"""Which of a peer's addresses belong to a call, and which of them is used."""

import pytest

from antiphon.rtc.ice import Credentials, Ice
from antiphon.rtc.mux import Mux, Path
from antiphon.rtc.stun import BindingRequest, parse_binding_request
from tests.support.rtc_strangers import check


class Wire(Path):
    """An address of a peer."""

    def __init__(self, port: int = 1) -> None:
        super().__init__(("192.0.2.1", port))
        self.sent: list[bytes] = []

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)


class Receiver:
    """A call with nothing but its addresses."""

    def __init__(self, mux: Mux) -> None:
        self.ice = Ice(mux, self, 0.0)
        self.now_s = 0.0

    def check_arrived(self, request: BindingRequest, path: Path) -> None:
        self.ice.check(request, path, self.now_s)

    def dtls_arrived(self, datagram: bytes) -> None: ...
    def media_arrived(self, datagram: bytes) -> None: ...
    def path_lost(self, path: Path) -> None:
        self.ice.lost(path)

    def checked(self, path: Path, now_s: float, *, nominate: bool = False, by: Credentials | None = None) -> None:
        """A valid check came."""
        credentials = by or self.ice.credentials
        request = parse_binding_request(check(credentials.ufrag, credentials.pwd, nominate=nominate))
        assert request is not None
        self.now_s = now_s
        self.check_arrived(request, path)


def test_the_first_address_is_used_until_another_is_nominated() -> None:
    call = Receiver(Mux())
    first, second = Wire(1), Wire(2)
    call.checked(first, 1.0)
    call.checked(second, 2.0)
    assert call.ice.path is first
    call.checked(second, 3.0, nominate=True)
    assert call.ice.path is second


def test_where_the_address_in_use_is_lost_the_one_checked_last_takes_its_place() -> None:
    call = Receiver(Mux())
    paths = [Wire(port) for port in range(3)]
    for now_s, path in enumerate(paths):
        call.checked(path, now_s)
    call.checked(paths[0], 5.0, nominate=True)
    call.checked(paths[1], 6.0)
    for lost, left in ((paths[0], paths[1]), (paths[1], paths[2]), (paths[2], None)):
        call.ice.lost(lost)
        assert call.ice.path is left
    call.checked(paths[0], 7.0)
    assert call.ice.path is paths[0]


@pytest.mark.parametrize(("later_s", "whose"), [(9.9, "the first"), (10.1, "the second")])
def test_an_address_stays_with_its_call_for_10_s_after_its_last_check(later_s: float, whose: str) -> None:
    mux = Mux()
    first, second = Receiver(mux), Receiver(mux)
    path = Wire()
    first.checked(path, 1.0)
    second.checked(path, 1.0 + later_s)
    owner, other = (first, second) if whose == "the first" else (second, first)
    assert path.receiver is owner
    assert owner.ice.path is path
    assert other.ice.path is None
    assert len(path.sent) == (1 if owner is first else 2)
    assert mux.dropped["address_taken"] == (1 if owner is first else 0)


def test_a_call_keeps_16_addresses_and_the_one_in_use_among_them() -> None:
    call = Receiver(Mux())
    paths = [Wire(port) for port in range(40)]
    for now_s, path in enumerate(paths):
        call.checked(path, now_s)
    assert call.ice.path is paths[0]
    assert [path for path in paths if path.receiver is call] == [paths[0], *paths[-15:]]


def test_of_several_restarts_only_the_last_is_valid_beside_what_is_in_use() -> None:
    mux = Mux()
    call = Receiver(mux)
    before = call.ice.credentials
    path = Wire()
    call.checked(path, 1.0)
    call.ice.restart()
    given_up = call.ice.credentials
    call.ice.restart()
    assert mux.names == 2
    call.checked(path, 2.0, by=given_up)
    assert mux.dropped["wrong_password"] == 1
    call.checked(path, 3.0, by=before)
    call.checked(path, 4.0, nominate=True)
    assert mux.names == 1
    call.checked(path, 5.0, by=before)
    assert mux.dropped["wrong_password"] == 2
    call.ice.close()
    assert mux.names == 0
    assert path.receiver is None
