"""The page for phones of the same network: a certificate that fits, made once and kept for its owner alone."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from dermis.shared.errors import DermisError
from dermis.standalone.lan import LanFace, describe, make_face
from dermis.standalone.processes import make_plan
from dermis.standalone.settings import load_standalone


def face(state: Path, address: str = "192.0.2.7", now: datetime | None = None) -> LanFace:
    return make_face(state, address=address, port=8443, now=now)


def test_the_certificate_names_the_address_and_its_key_is_its_owners_alone(tmp_path: Path) -> None:
    offered = face(tmp_path / "state")
    names = x509.load_pem_x509_certificate(offered.certificate.read_bytes()).extensions
    named = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.IPAddress)
    assert [str(address) for address in named] == ["192.0.2.7"]
    assert {offered.key.stat().st_mode & 0o777, offered.certificate.stat().st_mode & 0o777} == {0o600}
    assert offered.key.parent.stat().st_mode & 0o777 == 0o700
    ssl.create_default_context().load_cert_chain(offered.certificate, offered.key)


def test_what_is_no_ip_address_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DermisError, match=r"--lan-address 'phone\.local' is no IP address"):
        face(tmp_path / "state", "phone.local")
    assert not (tmp_path / "state").exists()


def test_it_is_kept_from_start_to_start_so_that_a_browser_warns_once(tmp_path: Path) -> None:
    assert face(tmp_path).fingerprint == face(tmp_path).fingerprint


@pytest.mark.parametrize("change", ["address", "time", "key", "damage"])
def test_another_is_made_where_it_does_not_fit_any_more(tmp_path: Path, change: str) -> None:
    first = face(tmp_path)
    if change == "key":
        first.key.unlink()
    elif change == "damage":
        first.certificate.write_bytes(b"damaged")
    late = datetime.now(UTC) + timedelta(days=391)
    second = face(tmp_path, "192.0.2.8" if change == "address" else "192.0.2.7", late if change == "time" else None)
    assert second.fingerprint != first.fingerprint


def test_a_person_reads_the_address_what_the_browser_warns_of_and_how_to_tell(tmp_path: Path) -> None:
    offered = face(tmp_path)
    text = describe(offered)
    assert "https://192.0.2.7:8443" in text
    assert "not private" in text
    assert offered.fingerprint in text
    assert len(offered.fingerprint.split(":")) == 32
    assert "█" in text


def test_the_network_gets_a_gateway_of_its_own_that_serves_nobody_without_a_session_or_key(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "DERMIS_STANDALONE_STATE": str(tmp_path), "DERMIS_GATEWAY_PORT": "0"}
    environ |= {"DERMIS_BROKER_URL": "redis://127.0.0.1:1/0", "DERMIS_GATEWAY_KEYLESS": "true"}
    offered = make_face(tmp_path, address="127.0.0.1", port=8443)
    planned = make_plan(load_standalone(environ), environ, offered)
    (lan,) = (part for part in planned.parts if part.name == "lan")
    assert lan.variables["DERMIS_GATEWAY_KEYLESS"] == "false"
    assert lan.variables["DERMIS_GATEWAY_SESSIONS"] == "true"
    assert lan.variables["DERMIS_GATEWAY_TLS_KEY"] == str(offered.key)
    assert planned.url.startswith("http://127.0.0.1:")
    assert "lan" not in {part.name for part in make_plan(load_standalone(environ), environ).parts}


def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "DERMIS_STANDALONE_STATE": str(tmp_path), "DERMIS_GATEWAY_PORT": "0"}
    environ |= {"DERMIS_BROKER_URL": "redis://127.0.0.1:1/0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offered = make_face(tmp_path, address="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(DermisError, match="--lan-port"):
            make_plan(load_standalone(environ), environ, offered)
