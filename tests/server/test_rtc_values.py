"""What the endpoint of calls is told by the settings."""

import pytest
from pydantic import SecretStr

from antiphon.rtc.settings import own_addresses
from antiphon.server.call_settings import CallsSection
from antiphon.server.rtc_values import check_calls, endpoint_settings
from antiphon.server.settings import Settings


@pytest.mark.parametrize(
    ("host", "is_own"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False), ("192.0.2.1", False)]
)
def test_own_addresses_are_bound_where_the_server_listens_on_loopback(host: str, is_own: bool) -> None:
    settings = endpoint_settings(Settings(host=host, api_keys=(SecretStr("key"),)))
    assert settings.own_addresses == (own_addresses() if is_own else ())


def test_own_addresses_can_be_left_alone_and_are_not_what_people_are_told() -> None:
    assert endpoint_settings(Settings(calls=CallsSection(own_addresses=False))).own_addresses == ()
    told = check_calls(Settings(port=0))
    assert "127.0.0.1" in told
    assert not [address for address in own_addresses() if address in told]
