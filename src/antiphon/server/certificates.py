"""A certificate of our own for ``--tls-self-signed``, and the TLS settings of the server.

Some clients speak ``wss`` only, so TLS has to work without a certificate authority at hand. A private authority signs
the server's certificate once and its key is thrown away: who trusts ``ca.pem`` trusts this certificate and no other.
"""

import datetime
import importlib.util
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.server.settings import Settings, SettingsError
from antiphon.web.hosts import is_wildcard

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["Certificate", "certificate_of", "self_signed", "tls_context"]

_VALID_DAYS = 365
_RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of PEM files; one file may hold both chain and key. ``authority`` is ours, which clients must trust."""

    chain: Path
    key: Path
    authority: Path | None = None


def certificate_of(settings: Settings) -> Certificate | None:
    """The certificate that the settings ask for, made if need be; None without TLS."""
    if settings.tls_self_signed:
        ours = ("localhost", "127.0.0.1", "::1", settings.host, socket.gethostname())
        names = (*ours, *settings.allowed_hosts, *settings.public_addresses)
        return self_signed([name for name in names if name and not is_wildcard(name)], _state_folder() / "tls")
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key)


def tls_context(certificate: Certificate) -> ssl.SSLContext:
    """Raises ``SettingsError`` if the files do not fit together; never asks for a passphrase."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate.chain, certificate.key, password=lambda: b"")
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else "unreadable"
        raise SettingsError(
            f"tls_cert and tls_key cannot be used ({reason}): they must be PEM files that belong together, "
            "the key without a passphrase"
        ) from error
    return context


def _state_folder() -> Path:
    """Where the server keeps what it makes: ``$XDG_STATE_HOME/antiphon``, or ``~/.local/state/antiphon``."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "antiphon"


def self_signed(names: Sequence[str], folder: Path) -> Certificate:
    """The certificate kept in ``folder``; a new one if it is missing, about to expire or lacks one of ``names``.

    Raises ``SettingsError`` where the package that makes it is not installed.
    """
    if importlib.util.find_spec("cryptography") is None:
        raise SettingsError("--tls-self-signed needs the package cryptography: pip install 'antiphon[local]'")
    # Key and chain are one file, so that two servers starting at once cannot mix theirs.
    certificate = Certificate(folder / "server.pem", folder / "server.pem", folder / "ca.pem")
    wanted = set(names)
    if not _still_good(certificate, wanted):
        _make(certificate, sorted(wanted))
    return certificate


def _still_good(certificate: Certificate, names: set[str]) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    assert certificate.authority is not None
    try:
        chain = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
        chain.verify_directly_issued_by(x509.load_pem_x509_certificate(certificate.authority.read_bytes()))
        alternatives = chain.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    held = {str(entry.value) for entry in alternatives}
    left = chain.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return names <= held and left.days >= _RENEW_DAYS


def _make(certificate: Certificate, names: Sequence[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = authority_key.public_key()

    def builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        )

    authority_name = f"antiphon on {socket.gethostname()[:40] or 'this machine'}"
    authority = (
        builder(authority_name, authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        builder("antiphon", authority_name, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert certificate.authority is not None
    _write(certificate.authority, authority.public_bytes(pem), 0o644)
    _write(certificate.chain, private + leaf.public_bytes(pem), 0o600)


def _key_usage(*, signs: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, mode: int) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        partial.replace(path)
    except OSError as error:
        raise SettingsError(
            f"the self-signed certificate cannot be kept ({error.strerror}): set XDG_STATE_HOME to a folder that can "
            "be written, or give tls_cert and tls_key"
        ) from error
