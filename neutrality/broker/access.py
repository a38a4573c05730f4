"""Where Kafka is, and how it is talked to: plainly, or over TLS, SASL/SCRAM or both.

Who talks how is one file of properties under librdkafka's names, so that the same file serves our services, `kcat -F` and any client on librdkafka:

    security.protocol=SASL_SSL
    sasl.mechanism=SCRAM-SHA-512
    sasl.username=ingest
    sasl.password=...
    ssl.ca.location=ca.pem

Paths in it are taken from the file's own folder.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]
_KNOWN: Final = (
    "bootstrap.servers",
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
)


class AccessUnusable(ValueError):  # noqa: N818 - named for what it is
    """The file of properties cannot be used; the message names the property and what it must be. Fate: the operator's."""

    retriable = False


@dataclass(frozen=True, slots=True)
class Access:
    """How Kafka is talked to. Without anything, plainly."""

    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def kafka_python(self) -> dict[str, Any]:
        """Settings of kafka-python's clients."""
        return {
            "security_protocol": self.protocol,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_cafile": _text(self.ca_file),
            "ssl_certfile": _text(self.certificate_file),
            "ssl_keyfile": _text(self.key_file),
        }

    def librdkafka(self) -> dict[str, str]:
        """Settings of librdkafka's clients."""
        settings = {
            "security.protocol": self.protocol,
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
            "ssl.ca.location": _text(self.ca_file),
            "ssl.certificate.location": _text(self.certificate_file),
            "ssl.key.location": _text(self.key_file),
        }
        return {name: value for name, value in settings.items() if value is not None}

    def aiokafka(self) -> dict[str, Any]:
        """Settings of aiokafka's clients. Raises OSError if a certificate cannot be read."""
        return {
            "security_protocol": self.protocol,
            "sasl_mechanism": self.mechanism or "PLAIN",
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_context": self.ssl_context(),
        }

    def ssl_context(self) -> ssl.SSLContext | None:
        """For connections of our own; None without TLS. Raises OSError if a certificate cannot be read."""
        if not self.protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


PLAIN: Final = Access()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka: its bootstrap servers (host:port, several with commas), and how it is talked to."""

    servers: str
    access: Access = PLAIN

    def __str__(self) -> str:
        """For messages: never a secret."""
        return self.servers

    def aiokafka(self) -> dict[str, Any]:
        """Settings of aiokafka's clients, with the servers. Raises OSError if a certificate cannot be read."""
        return {"bootstrap_servers": self.servers, **self.access.aiokafka()}


Where = Cluster | str  # plain text is a Kafka that is talked to plainly


def cluster_at(where: Where) -> Cluster:
    """The cluster that is meant."""
    return where if isinstance(where, Cluster) else Cluster(where)


def read_access(file: Path) -> Access:
    """How Kafka is talked to, by a file of properties.

    Raises:
        AccessUnusable: it cannot be read, has a property that we do not know, or lacks one.
    """
    found = read_properties(file)
    protocol = found.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in get_args(Protocol):
        raise AccessUnusable(f"{file}: security.protocol is one of {', '.join(get_args(Protocol))}, not {protocol}")
    mechanism = found.get("sasl.mechanism")
    if protocol.startswith("SASL"):
        if mechanism not in get_args(Mechanism):
            raise AccessUnusable(f"{file}: sasl.mechanism is one of {', '.join(get_args(Mechanism))}, not {mechanism}")
        for name in ("sasl.username", "sasl.password"):
            if not found.get(name):
                raise AccessUnusable(f"{file}: {protocol} needs {name}")
    elif mechanism is not None:
        raise AccessUnusable(f"{file}: sasl.mechanism is for SASL_SSL and SASL_PLAINTEXT, not {protocol}")
    paths = {name: _path(file, found, name) for name in _KNOWN if name.endswith(".location")}
    return Access(
        protocol,  # type: ignore[arg-type]  # one of them, see above
        mechanism,  # type: ignore[arg-type]  # the same
        found.get("sasl.username"),
        found.get("sasl.password"),
        paths["ssl.ca.location"],
        paths["ssl.certificate.location"],
        paths["ssl.key.location"],
    )


def read_properties(file: Path) -> Mapping[str, str]:
    """A file's properties. Raises AccessUnusable."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AccessUnusable(f"{file} cannot be read: {error.strerror}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or name.strip() not in _KNOWN:
            raise AccessUnusable(f"{file}, line {number}: a line is NAME=VALUE, with a name of {', '.join(_KNOWN)}")
        found[name.strip()] = value.strip()
    return found


def _path(file: Path, found: Mapping[str, str], name: str) -> Path | None:
    if not (value := found.get(name)):
        return None
    path = file.parent / value
    if not path.is_file():
        raise AccessUnusable(f"{file}: {name} names {path}, which is no file")
    return path


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
