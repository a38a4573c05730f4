"""What a Kafka tells of itself, for a diagnosis: brokers, topics, disks, the scoring group, grants. Reads only; what may not be read is named."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from neutrality.acls import GRANTS, SERVICES, Grant
from neutrality.broker.access import Where
from neutrality.broker.administration import Administration, NotGranted
from neutrality.broker.errors import BrokerError, BrokerUnavailable
from neutrality.broker.kafka import KafkaReader, connect_admin

T = TypeVar("T")
_CLIENT: Final = "neutrality-doctor"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker of the cluster; `version` is major and minor."""

    id: int
    address: str
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is: `replicas` of the partition with the fewest, partitions with fewer in sync than that, and those without a leader."""

    name: str
    partitions: int
    replicas: int
    out_of_sync: int
    without_leader: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Disk:
    """Room in a broker's log directory, in bytes."""

    broker: int
    folder: str
    total: int
    usable: int


@dataclass(frozen=True, slots=True)
class Group:
    """The scoring group: its members and how many records it has not applied yet."""

    members: int
    lag: int


@dataclass(frozen=True, slots=True)
class ClusterState:
    """All of it. `lacking`: grants that services do not have, None without an authorizer. `unread`: what could not be read, and why."""

    brokers: tuple[Broker, ...]
    topics: Mapping[str, TopicState]
    disks: tuple[Disk, ...] = ()
    group: Group | None = None
    lacking: tuple[Grant, ...] | None = None
    unread: Mapping[str, str] = field(default_factory=dict)


def inspect(where: Where, topics: Iterable[str], *, group: str, sources: Iterable[str]) -> ClusterState:
    """Look at a cluster. `topics` may be there or not; `sources` are what `group` reads.

    Raises:
        BrokerUnavailable: Kafka does not answer at all.
    """
    unread: dict[str, str] = {}

    def tried(what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except (KafkaError, BrokerError) as error:
            unread[what] = str(error) or type(error).__name__
            return otherwise

    with closing(connect_admin(where)) as admin:
        try:
            brokers = _brokers(admin)
            found = _topics(admin, sorted(topics))
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka at {where} does not tell of itself: {error}") from error
        no_disks: tuple[Disk, ...] = ()
        disks = tried("disks", lambda: _disks(admin), no_disks)
        there = [name for name in sources if name in found]
        state = tried("the scoring group", lambda: _group(admin, where, group, there), None)
    lacking = tried("grants", lambda: _lacking(where), None)
    return ClusterState(brokers, found, disks, state, lacking, unread)


def _brokers(admin: KafkaAdminClient) -> tuple[Broker, ...]:
    return tuple(
        Broker(
            item["broker_id"], f"{item['host']}:{item['port']}", admin.get_broker_version_data(item["broker_id"]).broker_version
        )
        for item in admin.describe_cluster()["brokers"]
    )


def _topics(admin: KafkaAdminClient, names: list[str]) -> dict[str, TopicState]:
    described = {item["name"]: item["partitions"] for item in admin.describe_topics(names) if item["partitions"]}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(described)]
    configs = admin.describe_configs(resources, config_filter="all")["topic"] if resources else {}
    return {name: _topic(name, partitions, configs.get(name, {})) for name, partitions in described.items()}


def _topic(name: str, partitions: list[dict[str, Any]], config: Mapping[str, Any]) -> TopicState:
    replicas = [len(item["replica_nodes"]) for item in partitions]
    return TopicState(
        name,
        len(partitions),
        min(replicas),
        sum(len(item["isr_nodes"]) < len(item["replica_nodes"]) for item in partitions),
        sum(item["leader_id"] < 0 for item in partitions),
        {setting: str(value["value"]) for setting, value in config.items()},
    )


def _disks(admin: KafkaAdminClient) -> tuple[Disk, ...]:
    return tuple(
        Disk(item["broker"], folder["log_dir"], folder["total_bytes"], folder["usable_bytes"])
        for item in admin.describe_log_dirs()
        for folder in item["log_dirs"]
        if folder.get("total_bytes", -1) > 0  # older brokers do not tell
    )


def _group(admin: KafkaAdminClient, where: Where, group: str, sources: list[str]) -> Group | None:
    if not sources:
        return None
    committed = {(tp.topic, tp.partition): found.offset for tp, found in admin.list_group_offsets(group)[group].items()}
    members = len(admin.describe_groups([group])[group]["members"])
    with closing(KafkaReader(where, sources, client_id=_CLIENT, start="end")) as reader:
        ends, starts = reader.end_offsets(), reader.beginning_offsets()
    return Group(members, sum(max(0, end - committed.get(partition, starts[partition])) for partition, end in ends.items()))


def _lacking(where: Where) -> tuple[Grant, ...] | None:
    with closing(Administration(where)) as administration:
        found: list[Grant] = []
        for principal in SERVICES:
            try:
                found += administration.lacks(principal, [grant for grant in GRANTS if grant.principal == principal])
            except NotGranted as error:
                if "SecurityDisabled" in str(error):
                    return None
                raise
    return tuple(found)
