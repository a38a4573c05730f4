"""A certificate authority of one's own and the certificates of a deployment: for those who have none. Files that are there are kept."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 825  # what clients take at most
_OVERLAP: Final = timedelta(hours=1)  # clocks differ
# the folder is its owner's alone; in it, files are readable for the containers' users, who see only what is handed to them
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o644
_AUTHORITY_MODE: Final = 0o600  # no container ever needs it


class Authority:
    """Signs certificates. Its key stays in the folder: move it away once all are made."""

    def __init__(self, folder: Path) -> None:
        """Open the authority in a folder, or make it. Raises OSError, ValueError."""
        self._folder = folder
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        certificate, key = folder / "ca.pem", folder / "ca.key"
        if certificate.exists() and key.exists():
            self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
            loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
            if not isinstance(loaded, ec.EllipticCurvePrivateKey):
                raise ValueError(f"{key} is no elliptic-curve key")
            self._key = loaded
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Neutrality Watch CA")
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = _builder(name, name, self._key.public_key(), AUTHORITY_DAYS).add_extension(usage, critical=True)
        self._certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
            self._key, hashes.SHA256()
        )
        write(key, _pem(self._key), _AUTHORITY_MODE)
        write(certificate, self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, hosts: Sequence[str]) -> None:
        """`NAME.pem` (certificate), `NAME.key` and `NAME.chain.pem` (both, as Kafka reads them), unless they are there."""
        if (self._folder / f"{name}.key").exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self._certificate.subject, key.public_key(), CERTIFICATE_DAYS)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            builder.add_extension(purposes, critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        write(self._folder / f"{name}.pem", pem)
        write(self._folder / f"{name}.chain.pem", _pem(key) + pem)
        write(self._folder / f"{name}.key", _pem(key))


def write(file: Path, content: bytes, mode: int = _FILE_MODE) -> None:
    """Write a file in one step. Raises OSError."""
    new = file.with_name(file.name + ".new")
    new.touch(mode=_AUTHORITY_MODE)
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(file)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _OVERLAP)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
