"""What is wrong with a deployment, and what to do about it. Pure: judges what `broker.inspection` and the services' own answers say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from neutrality.broker.inspection import ClusterState, Disk, TopicState
from neutrality.topics import CONTRACTS, MESSAGES, OWNERSHIP, TOPICS, Topic

Level = Literal["ok", "note", "warning", "failure"]

OLDEST_VERSION: Final = (3, 0)
SAFE_REPLICAS: Final = 3
LITTLE_ROOM: Final = 0.15
NO_ROOM: Final = 0.05
MUCH_LAG: Final = 1_000
CLOCK_TOLERANCE: Final = timedelta(seconds=2)  # the answers' own dates are whole seconds
_TOGETHER: Final = (OWNERSHIP.name, CONTRACTS.name, MESSAGES.name)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what is so, and what to do unless it is `ok`."""

    level: Level
    subject: str
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service's own answers. `problem`: why it did not answer; `skew`: its clock ahead of ours; `metrics` by name and labels as exposed."""

    name: str
    url: str
    ready: bool = False
    problem: str = ""
    skew: timedelta | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def judge_cluster(state: ClusterState) -> Iterator[Finding]:
    """Kafka: brokers, topics, disks, lag, grants."""
    yield from _brokers(state)
    for topic in TOPICS:
        yield from _topic(topic, state.topics.get(topic.name), len(state.brokers))
    yield from _same_partitions(state)
    for disk in state.disks:
        yield _disk(disk)
    yield from _group(state)
    yield from _grants(state)
    for what, why in state.unread.items():
        yield Finding(
            "note", what, f"could not be looked at: {why}", "run this as a principal that may, as `operator` or `admin`"
        )


def _brokers(state: ClusterState) -> Iterator[Finding]:
    for broker in state.brokers:
        version = ".".join(map(str, broker.version[:2]))
        if broker.version[:2] < OLDEST_VERSION:
            yield Finding("failure", f"broker {broker.id}", f"{broker.address} is Kafka {version}", "upgrade it to 3.0 or newer")
        else:
            yield Finding("ok", f"broker {broker.id}", f"{broker.address} is Kafka {version}")
    if len(state.brokers) < SAFE_REPLICAS:
        yield Finding(
            "note",
            "brokers",
            f"{len(state.brokers)}: nothing is accepted while one is away, and its disk is the only copy",
            "for production run three, with replication factor 3 and min.insync.replicas 2",
        )


def _topic(topic: Topic, found: TopicState | None, brokers: int) -> Iterator[Finding]:
    if found is None:
        yield Finding("failure", topic.name, "is not there", f"start a service that makes it: {', '.join(topic.producers[:1])}")
        return
    wrong = {
        name: (value, found.config.get(name, "unset")) for name, value in topic.config.items() if found.config.get(name) != value
    }
    for name, (value, there) in wrong.items():
        yield Finding(
            "failure",
            topic.name,
            f"has {name}={there}, not {value}",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {name}={value}",
        )
    if found.without_leader:
        yield Finding("failure", topic.name, f"{found.without_leader} partitions have no leader", "bring their brokers back")
    elif found.out_of_sync:
        yield Finding(
            "warning", topic.name, f"{found.out_of_sync} partitions are out of sync", "look at the brokers that lag or are away"
        )
    if found.replicas < min(SAFE_REPLICAS, brokers):
        yield Finding(
            "warning",
            topic.name,
            f"has {found.replicas} replicas of each record on {brokers} brokers",
            "kafka-reassign-partitions.sh with three replicas; set *_REPLICATION_FACTOR=3 for topics to come",
        )
    least = int(found.config.get("min.insync.replicas", "1"))
    if found.replicas >= SAFE_REPLICAS and least < SAFE_REPLICAS - 1:
        yield Finding("warning", topic.name, f"has min.insync.replicas={least}", "set it to 2, or one broker's word is enough")
    if not wrong and not found.without_leader and not found.out_of_sync:
        yield Finding("ok", topic.name, f"{found.partitions} partitions, {found.replicas} replicas, kept as declared")


def _same_partitions(state: ClusterState) -> Iterator[Finding]:
    counts = {name: state.topics[name].partitions for name in _TOGETHER if name in state.topics}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        yield Finding(
            "failure",
            "partitions",
            f"scoring reads these together, and they differ: {told}",
            "the partition of an entity must be the same in all; make new topics with one number, and publish the events again",
        )


def _disk(disk: Disk) -> Finding:
    share = disk.usable / disk.total
    says = f"{share:.0%} of {disk.total / 1e9:.0f} GB are free in {disk.folder}"
    if share < NO_ROOM:
        return Finding("failure", f"disk of broker {disk.broker}", says, "make room now: Kafka stops when it is full")
    if share < LITTLE_ROOM:
        return Finding(
            "warning",
            f"disk of broker {disk.broker}",
            says,
            "make room, or give it a larger disk; input topics are kept for ever",
        )
    return Finding("ok", f"disk of broker {disk.broker}", says)


def _group(state: ClusterState) -> Iterator[Finding]:
    if state.group is None:
        return
    if state.group.members == 0:
        yield Finding(
            "failure", "scoring", "no worker is a member of the group", "start scoring, and see why it ended: its log's last line"
        )
    if state.group.lag >= MUCH_LAG:
        yield Finding(
            "warning",
            "lag of scoring",
            f"{state.group.lag} records",
            "see docs/runbook.md#lag-growing; under a burst it works itself off",
        )
    elif state.group.members:
        yield Finding("ok", "scoring", f"{state.group.members} workers, {state.group.lag} records to go")


def _grants(state: ClusterState) -> Iterator[Finding]:
    if state.lacking is None:
        if "grants" not in state.unread:
            yield Finding(
                "note", "grants", "Kafka has no authorizer: whoever reaches it may do everything", "see docs/guides/secure.md"
            )
        return
    for grant in state.lacking:
        yield Finding(
            "failure",
            "grants",
            f"{grant.principal} may not {', '.join(grant.operations)} the {grant.resource} {grant.name}",
            "neutrality access apply",
        )
    if not state.lacking:
        yield Finding("ok", "grants", "every service has those of contracts/acls.json")


def judge_service(state: ServiceState) -> Iterator[Finding]:
    """One service that answers over HTTP."""
    if state.problem:
        yield Finding("failure", state.name, f"{state.url} does not answer: {state.problem}", "see docs/runbook.md#target-down")
        return
    if state.ready:
        yield Finding("ok", state.name, f"{state.url} is ready")
    else:
        yield Finding("failure", state.name, f"{state.url} is not ready", "what it depends on does not answer: see its log")
    if state.skew is not None and abs(state.skew) > CLOCK_TOLERANCE:
        ahead = "ahead of" if state.skew > timedelta(0) else "behind"
        yield Finding(
            "warning",
            f"clock of {state.name}",
            f"{abs(state.skew).total_seconds():.0f} s {ahead} this machine's",
            "synchronise the machines' clocks (NTP): latencies, leases and expiries go by them",
        )
    yield from _metrics(state)


_OLD_OUTBOX_S: Final = 60.0
_READ_AS: Final = (
    ("alerts_outbox_oldest_seconds", _OLD_OUTBOX_S, "the oldest alert that Kafka does not have is {:.0f} s old", "outbox-old"),
    ("alerts_lag_records", 100.0, "{:.0f} assessments wait for alerts", "alerts-lag-growing"),
    ("alerts_api_keys_file_broken", 0.0, "the file of labs' keys cannot be read", "keys-file-broken"),
    ("ingest_api_keys_file_broken", 0.0, "the file of publishers' keys cannot be read", "keys-file-broken"),
)


def _metrics(state: ServiceState) -> Iterator[Finding]:
    for name, most, says, section in _READ_AS:
        if state.metrics.get(name, 0.0) > most:
            yield Finding("warning", state.name, says.format(state.metrics[name]), f"see docs/runbook.md#{section}")


def judge_schemas(revisions: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """The database's revision as each instance of alerts tells it, by the instance's address."""
    found = {revision for told in revisions.values() for revision in told}
    if len(found) > 1:
        told = "; ".join(f"{url}: {', '.join(each)}" for url, each in revisions.items())
        yield Finding("warning", "database", f"instances of alerts know different revisions ({told})", "upgrade the older ones")
    elif found:
        yield Finding("ok", "database", f"revision {found.pop()}")
