"""Messages hold no credentials."""

import pytest

from antiphon.weights.errors import WeightsError, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ERROR: https://me:pw@index.test/simple failed", "ERROR: https://***@index.test/simple failed"),
        ("https://token@index.test/simple", "https://***@index.test/simple"),
        ("http://me:p@ss/word@index.test/simple", "http://***@index.test/simple"),
        ("GET 'https://hub.test/file?X-Signature=abc&b=c' (403)", "GET 'https://hub.test/file?***' (403)"),
        ("SOCKS5://me:pw@proxy:1080", "SOCKS5://***@proxy:1080"),
        ("no address, a == b @ c?", "no address, a == b @ c?"),
        ("two\n  lines\tand tabs ", "two lines and tabs"),
    ],
)
def test_addresses_are_shown_without_credentials_and_on_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert str(WeightsError(text)) == shown


def test_foreign_text_is_cut() -> None:
    assert len(one_line("x" * 10_000)) == 400
