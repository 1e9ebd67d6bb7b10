import json
import os
import shutil
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import websockets
from cryptography import x509

from antiphon.server.certificates import Certificate, certificate_of, self_signed, tls_context
from antiphon.server.settings import SettingsError, load_settings


def test_a_certificate_is_kept_until_it_lacks_a_name(tmp_path: Path) -> None:
    first = self_signed(["localhost", "127.0.0.1"], tmp_path)
    made = first.chain.read_bytes()
    assert self_signed(["127.0.0.1"], tmp_path).chain.read_bytes() == made
    assert self_signed(["localhost", "voice.lan"], tmp_path).chain.read_bytes() != made


@pytest.mark.parametrize("damage", ["server.pem", "ca.pem"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    self_signed(["localhost"], tmp_path)
    (tmp_path / damage).write_bytes(b"damaged")
    tls_context(self_signed(["localhost"], tmp_path))


def test_an_authority_of_another_certificate_is_made_anew(tmp_path: Path) -> None:
    other = self_signed(["localhost"], tmp_path / "other")
    certificate = self_signed(["localhost"], tmp_path / "own")
    assert certificate.authority is not None
    assert other.authority is not None
    certificate.authority.write_bytes(other.authority.read_bytes())
    made = certificate.chain.read_bytes()
    assert self_signed(["localhost"], tmp_path / "own").chain.read_bytes() != made


def test_only_the_user_can_read_the_key(tmp_path: Path) -> None:
    certificate = self_signed(["localhost"], tmp_path / "tls")
    assert stat.S_IMODE(os.stat(certificate.key).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "tls").st_mode) == 0o700
    assert certificate.authority is not None
    assert b"PRIVATE" not in certificate.authority.read_bytes()


def test_the_settings_choose_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert certificate_of(load_settings()) is None
    own = certificate_of(load_settings({"tls_self_signed": True, "allowed_hosts": "voice.lan"}))
    assert own is not None
    assert own.chain.is_relative_to(tmp_path)
    given = certificate_of(load_settings({"tls_cert": str(own.chain), "tls_key": str(own.key)}))
    assert given == Certificate(own.chain, own.key, None)


def test_the_certificate_is_good_for_the_addresses_at_which_the_server_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    flags = {"tls_self_signed": True, "allowed_hosts": "voice.lan", "public_addresses": "192.168.1.5"}
    own = certificate_of(load_settings(flags))
    assert own is not None
    chain = x509.load_pem_x509_certificate(own.chain.read_bytes())
    names = chain.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "127.0.0.1", "voice.lan", "192.168.1.5"} <= {str(name.value) for name in names}


def test_files_that_do_not_fit_are_refused_with_one_line(tmp_path: Path) -> None:
    first, second = (self_signed(["localhost"], tmp_path / name) for name in "ab")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for pair in ((nonsense, nonsense), (first.chain, nonsense)):
        with pytest.raises(SettingsError, match="belong together") as caught:
            tls_context(Certificate(*pair))
        assert "\n" not in str(caught.value)
    assert second.chain != first.chain


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate = self_signed(["localhost"], tmp_path)
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    with pytest.raises(SettingsError, match="without a passphrase"):
        tls_context(Certificate(certificate.chain, locked))


def test_a_client_that_trusts_our_authority_connects_strictly(run_server: Any, tmp_path: Path) -> None:
    certificate = self_signed(["localhost", "127.0.0.1"], tmp_path / "tls")
    trust = ssl.create_default_context(cafile=str(certificate.authority))
    trust.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT

    async def scenario(server: Any) -> None:
        for host in ("localhost", "127.0.0.1"):
            url = f"wss://{host}:{server.port}/v1/realtime?model=m"
            async with websockets.connect(
                url, ssl=trust, host="127.0.0.1", origin=websockets.Origin(f"https://{host}:{server.port}")
            ) as socket:
                assert json.loads(await socket.recv())["type"] == "session.created"
        with pytest.raises(ssl.SSLCertVerificationError):
            await websockets.connect(f"wss://127.0.0.1:{server.port}/v1/realtime")

    run_server(scenario, {"tls_self_signed": True}, tls=tls_context(certificate))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_the_authority_cannot_vouch_for_another_server(tmp_path: Path) -> None:
    """Its key was thrown away, and what it signed cannot sign."""
    certificate = self_signed(["localhost"], tmp_path)
    assert b"CA:TRUE" not in _described(certificate.chain)
    assert b"CA:TRUE, pathlen:0" in _described(certificate.authority)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "server.pem"]


def _described(path: Path | None) -> bytes:
    command = ["openssl", "x509", "-in", str(path), "-noout", "-text"]
    return subprocess.run(command, check=True, capture_output=True).stdout
