"""`neutrality access`: what it makes, and what it prints for a lab."""

import ssl
import stat
from pathlib import Path

from cryptography import x509
from typer.testing import CliRunner, Result

from neutrality.acls import SERVICES
from neutrality.broker.access import read_access
from neutrality.cli.access import SERVERS, _configurations
from neutrality.cli.exits import Exit
from neutrality.cli.main import app


def access(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["access", *arguments], env={"COLUMNS": "200"})


def test_a_folder_gets_all_that_the_secure_profile_needs_and_keeps_what_it_has(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert access("init", str(folder), "--host", "kafka.example.com").exit_code == Exit.OK
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert access("init", str(folder)).exit_code == Exit.OK
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    for service in SERVICES:
        assert read_access(folder / f"{service}.properties").username == service
    assert read_access(folder / "admin.properties").ssl_context() is not None
    passwords = {read_access(folder / f"{service}.properties").password for service in SERVICES}
    assert len(passwords) == len(SERVICES)


def test_certificates_are_for_their_names_and_by_the_one_authority(tmp_path: Path) -> None:
    access("init", str(tmp_path), "--host", "kafka.example.com", "--host", "192.0.2.7")
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    for server in SERVERS:
        certificate = x509.load_pem_x509_certificate((tmp_path / f"{server}.pem").read_bytes())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [server, "localhost", "kafka.example.com"]
        assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "192.0.2.7"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "kafka.chain.pem")


def test_a_labs_first_configuration_is_a_file_of_client_properties(tmp_path: Path) -> None:
    access("init", str(tmp_path))
    printed = _configurations("google", "kafka.example.com:29092", "secret")
    file = tmp_path / "client.properties"
    file.write_text(printed.partition("\n\n#")[0])
    found = read_access(file)
    assert (found.username, found.password, found.protocol) == ("lab-google", "secret", "SASL_SSL")
    assert printed.count("google:alerts") == 3


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    assert access("lab", "Google!").exit_code == Exit.USAGE
    away = access("lab", "google", "--bootstrap-servers", "127.0.0.1:1")
    assert away.exit_code == Exit.UNREACHABLE
    assert "no Kafka at 127.0.0.1:1" in away.stderr
    file = tmp_path / "bad.properties"
    file.write_text("security.protocol=TLS")
    bad = CliRunner().invoke(app, ["scores"], env={"NEUTRALITY_KAFKA_CONFIG": str(file)})
    assert bad.exit_code == Exit.USAGE
    assert "security.protocol" in bad.stderr
