"""The page for phones of the same network: an address with TLS of its own, by a certificate that this machine makes."""

import io
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dermis.shared.errors import DermisError, Kind
from dermis.standalone import extras
from dermis.standalone.state import make_folder

_VALID_FOR = timedelta(days=397)
"""Longer, and Apple's devices refuse it (support.apple.com/102028)."""
_RENEWED_BEFORE = timedelta(days=7)
_ELSEWHERE = ("192.0.2.1", 9)
"""An address that nobody has (RFC 5737): a route to it says which of its addresses this machine has on its network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanFace:
    """Where the page answers on the network, and the files of its certificate."""

    address: str
    port: int
    certificate: Path
    key: Path
    fingerprint: str

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What the gateway there has other than the one on loopback: TLS, sessions, nobody without either."""
        return {
            "DERMIS_GATEWAY_HOST": self.address,
            "DERMIS_GATEWAY_PORT": str(self.port),
            "DERMIS_GATEWAY_KEYLESS": "false",
            "DERMIS_GATEWAY_SESSIONS": "true",
            "DERMIS_GATEWAY_TRUSTED_PROXIES": "0",
            "DERMIS_GATEWAY_TLS_CERTIFICATE": str(self.certificate),
            "DERMIS_GATEWAY_TLS_KEY": str(self.key),
        }


def own_address() -> str:
    """Return this machine's address on its network; UNAVAILABLE if it is on none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            detail = "this machine is on no network; connect it to one, or start without --lan"
            raise DermisError(Kind.UNAVAILABLE, "NO_NETWORK", detail) from None


def make_face(state: Path, *, address: str, port: int, now: datetime | None = None) -> LanFace:
    """Return the face of this machine at `address`, with a certificate that is made where none in `state` fits.

    NOT_FOUND if a package is missing, INVALID for what is no IP address.
    """
    if lacking := extras.missing(("lan",)):
        detail = f"not installed: {', '.join(lacking['lan'])}; {extras.remedy(lacking)}"
        raise DermisError(Kind.NOT_FOUND, "EXTRA_MISSING", detail)
    if not _is_ip(address):
        detail = f"--lan-address {address!r} is no IP address; write one of this machine's, such as 192.168.1.20"
        raise DermisError(Kind.INVALID, "LAN_ADDRESS", detail)
    folder, now = state / "tls", now or datetime.now(UTC)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not _fits(certificate, key, address, now):
        make_folder(state)
        make_folder(folder)
        for path, data in zip((key, certificate), _signed(address, now), strict=True):
            _write_private(path, data)
    return LanFace(address=address, port=port, certificate=certificate, key=key, fingerprint=_fingerprint(certificate))


def describe(face: LanFace) -> str:
    """Return what a person is to do: the address, as a QR code too, and what the browser will warn of."""
    import segno

    code = io.StringIO()
    segno.make(face.url, micro=False).terminal(code, compact=True)
    return (
        f"{code.getvalue()}\n"
        f"on this network: {face.url}\n"
        "The browser will warn once that the connection is not private: this machine made the certificate itself, and "
        "nobody else vouches for it. What is sent is encrypted all the same. Look at the certificate, and go on only "
        f"if its SHA-256 fingerprint is\n{face.fingerprint}\n"
        "Each browser sees its own cases alone. Who is on this network can open the page; Ctrl-C closes it."
    )


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _fits(certificate: Path, key: Path, address: str, now: datetime) -> bool:
    """Whether the files are there, belong together, name the address and hold for some days."""
    from cryptography import x509

    try:
        ssl.create_default_context().load_cert_chain(certificate, key)
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):  # ssl.SSLError is an OSError
        return False
    addresses = names.get_values_for_type(x509.IPAddress)
    return ipaddress.ip_address(address) in addresses and read.not_valid_after_utc - now > _RENEWED_BEFORE


def _signed(address: str, now: datetime) -> tuple[bytes, bytes]:
    """Return a new key and a certificate of it for the address, signed by itself, both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dermis on this network")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a phone's clock may lag
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return secret, certificate.public_bytes(pem)


def _write_private(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    fresh.rename(path)


def _fingerprint(certificate: Path) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    digest = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()
