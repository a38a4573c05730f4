"""`neutrality access`: who may do what on a secured Kafka. Makes secrets, applies the one list of grants, and lets labs in."""

import secrets as random
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from neutrality.acls import GRANTS, GROUP_MARK, SERVICES, grants_of_lab, principal_of
from neutrality.broker.access import AccessUnusable, Cluster, read_properties
from neutrality.broker.administration import Administration
from neutrality.broker.errors import BrokerError, BrokerUnavailable
from neutrality.cli.addresses import DEFAULT_BOOTSTRAP, BootstrapServers
from neutrality.cli.exits import EPILOG, Exit, end, errors
from neutrality.cli.pki import Authority, write
from neutrality.events.vocabulary import EntityId
from neutrality.topics import alerts_topic

access = typer.Typer(help="Users, certificates and grants of a secured Kafka.", no_args_is_help=True, epilog=EPILOG)

SECRET_BYTES: Final = 32
SERVERS: Final = ("kafka", "postgres", "ingest", "scoring", "alerts", "board", "verify", "prometheus")
ADMINISTRATOR: Final = "admin"
PASSWORDS: Final = ("postgres", "alerts-database", "grafana")
LOCAL: Final = ("localhost", "127.0.0.1")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the secrets are.", file_okay=False)]
_LAB: Final = TypeAdapter[str](EntityId)


@access.command(epilog=EPILOG)
def init(
    folder: Folder,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="A further name or address that clients reach this by.")
    ] = None,
) -> None:
    """Make a certificate authority, certificates, passwords and client properties. What is there is kept.

    Example: neutrality access init deploy/secrets --host kafka.example.com
    """
    try:
        authority = Authority(folder)
        for server in SERVERS:
            authority.issue(server, (server, *LOCAL, *(host or ())))
        authority.issue(ADMINISTRATOR, ())
        for name in PASSWORDS:
            _make(folder / f"{name}.password", random.token_urlsafe(SECRET_BYTES))
        for principal in SERVICES:
            _make(folder / f"{principal}.properties", _properties(principal, random.token_urlsafe(SECRET_BYTES)))
        _make(
            folder / f"{ADMINISTRATOR}.properties",
            f"security.protocol=SSL\nssl.ca.location=ca.pem\nssl.certificate.location={ADMINISTRATOR}.pem\nssl.key.location={ADMINISTRATOR}.key\n",
        )
    except (OSError, ValueError) as error:
        end(f"{folder}: {error}", Exit.FAILED)
    errors().print(f"{folder} has all that the secure profile needs; keep ca.key elsewhere", markup=False)


@access.command(epilog=EPILOG)
def apply(folder: Folder, bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP) -> None:
    """Make the services' users with the passwords in FOLDER, and grant them what contracts/acls.json says and nothing else.

    Run as the administrator: NEUTRALITY_KAFKA_CONFIG=FOLDER/admin.properties. May be repeated.

    Example: neutrality access apply deploy/secrets --bootstrap-servers kafka:9091
    """
    administration = _administration(bootstrap_servers)
    try:
        for principal in SERVICES:
            password = read_properties(folder / f"{principal}.properties").get("sasl.password", "")
            administration.put_user(principal, password)
            added, removed = administration.put_grants(principal, [grant for grant in GRANTS if grant.principal == principal])
            errors().print(f"{principal}: {added} rules added, {removed} taken away", markup=False)
    except (AccessUnusable, BrokerError) as error:
        end(str(error), Exit.UNREACHABLE if isinstance(error, BrokerUnavailable) else Exit.FAILED)
    finally:
        administration.close()


@access.command(epilog=EPILOG)
def lab(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="The lab's entity id.")],
    servers: Annotated[
        str, typer.Option(help="The servers that the lab reaches Kafka by, for its configuration.")
    ] = "localhost:29092",
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
) -> None:
    """Let a lab read its own alert topic, and print its client configurations; its password cannot be shown again.

    Called again, the lab gets a new password. Run as the administrator.

    Example: neutrality access lab google --servers kafka.example.com:29092
    """
    try:
        _LAB.validate_python(lab)
    except ValidationError as error:
        end(f"{lab!r} is no entity id: {error.errors()[0]['msg']}", Exit.USAGE)
    password = random.token_urlsafe(SECRET_BYTES)
    administration = _administration(bootstrap_servers)
    try:
        administration.put_user(principal_of(lab), password)
        administration.put_grants(principal_of(lab), grants_of_lab(lab))
    except BrokerError as error:
        end(str(error), Exit.UNREACHABLE if isinstance(error, BrokerUnavailable) else Exit.FAILED)
    finally:
        administration.close()
    typer.echo(_configurations(lab, servers, password))


def _administration(cluster: Cluster) -> Administration:
    try:
        return Administration(cluster)
    except BrokerError as error:
        end(str(error), Exit.UNREACHABLE)


def _make(file: Path, content: str) -> None:
    if not file.exists():
        write(file, content.encode())


def _properties(principal: str, password: str) -> str:
    return (
        f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username={principal}\nsasl.password={password}\n"
        "ssl.ca.location=ca.pem\n"
    )


def _configurations(lab: str, servers: str, password: str) -> str:
    """The same for three kinds of clients; `ca.pem` is the authority's certificate, to be handed over with it."""
    user, topic, group = principal_of(lab), alerts_topic(lab).name, f"{lab}{GROUP_MARK}alerts"
    return f"""# librdkafka and kcat; save as client.properties beside ca.pem:  kcat -F client.properties -G {group} {topic}
bootstrap.servers={servers}
{_properties(user, password)}
# Java; save as consumer.properties:  kafka-console-consumer.sh --bootstrap-server {servers} --consumer.config consumer.properties --topic {topic}
group.id={group}
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}" password="{password}";
ssl.truststore.type=PEM
ssl.truststore.location=ca.pem

# Python (kafka-python)
KafkaConsumer(
    "{topic}",
    bootstrap_servers="{servers}",
    group_id="{group}",
    auto_offset_reset="earliest",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_plain_username="{user}",
    sasl_plain_password="{password}",
    ssl_cafile="ca.pem",
)"""
