"""Users and grants of a secured Kafka, by its own administration protocol: no Java tools, and any Kafka 2.7 or newer with an authorizer."""

from collections.abc import Iterable
from typing import Final

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError

from neutrality.acls import Grant, Operation
from neutrality.broker.access import Where
from neutrality.broker.errors import BrokerError, BrokerUnavailable
from neutrality.broker.kafka import connect_admin

_ITERATIONS: Final = 8192  # Kafka's default is 4096, the least that it takes
_RESOURCES: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.CLUSTER}
_PATTERNS: Final = {"literal": ACLResourcePatternType.LITERAL, "prefixed": ACLResourcePatternType.PREFIXED}
_ANY_HOST: Final = "*"


class NotGranted(BrokerError):  # noqa: N818 - named for what it is
    """Kafka refused a user or a grant; the message says which and why. Fate: the operator's."""


class Administration:
    """A connection of the administrator's; `close` ends it."""

    def __init__(self, where: Where) -> None:
        """Connect. Raises BrokerUnavailable."""
        self._admin: KafkaAdminClient = connect_admin(where)

    def close(self) -> None:
        """Let go of it."""
        self._admin.close()

    def put_user(self, name: str, password: str) -> None:
        """Make a user of SCRAM-SHA-512, or give it another password.

        Raises:
            NotGranted: Kafka refuses it.
            BrokerUnavailable: Kafka does not answer.
        """
        wanted = UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password, _ITERATIONS)
        try:
            refused = self._admin.alter_user_scram_credentials([wanted])[name]
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka did not make the user {name}: {error}") from error
        if refused is not None:
            raise NotGranted(f"the user {name} was refused: {refused}")

    def put_grants(self, principal: str, grants: Iterable[Grant]) -> tuple[int, int]:
        """A principal may do these things afterwards, and nothing else; returns how many rules were added and how many taken away.

        Raises:
            NotGranted: Kafka refuses one, or has no authorizer.
            BrokerUnavailable: Kafka does not answer.
        """
        wanted = {_key(acl): acl for grant in grants for acl in _acls(grant)}
        try:
            there = {_key(acl): acl for acl in self._of(principal)}
            missing = [acl for key, acl in wanted.items() if key not in there]
            surplus = [acl for key, acl in there.items() if key not in wanted]
            failed = self._admin.create_acls(missing)["failed"] if missing else []
            if surplus:
                self._admin.delete_acls([_filter_of(acl) for acl in surplus])
        except KafkaError as error:
            raise NotGranted(f"the grants of {principal}: {error}") from error
        if failed:
            raise NotGranted(f"the grants of {principal}: {failed[0].__name__}")
        return len(missing), len(surplus)

    def lacks(self, principal: str, grants: Iterable[Grant]) -> tuple[Grant, ...]:
        """Those of these grants that a principal does not have, at least in part. Raises NotGranted: not to be read by us, or no authorizer."""
        try:
            there = {_key(acl) for acl in self._of(principal)}
        except KafkaError as error:
            raise NotGranted(f"the grants of {principal} cannot be read: {error}") from error
        return tuple(grant for grant in grants if not {_key(acl) for acl in _acls(grant)} <= there)

    def _of(self, principal: str) -> list[ACL]:
        anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        wanted = ACLFilter(f"User:{principal}", None, ACLOperation.ANY, ACLPermissionType.ANY, anything)
        found: list[ACL] = self._admin.describe_acls(wanted)[0]
        return found


def _acls(grant: Grant) -> list[ACL]:
    resource = ResourcePattern(_RESOURCES[grant.resource], grant.name, _PATTERNS[grant.pattern])
    return [
        ACL(f"User:{grant.principal}", _ANY_HOST, _operation(operation), ACLPermissionType.ALLOW, resource)
        for operation in grant.operations
    ]


def _operation(operation: Operation) -> ACLOperation:
    return ACLOperation[operation.upper()]


def _key(acl: ACL) -> tuple[str, ...]:
    resource = acl.resource_pattern
    return (
        acl.principal,
        acl.host,
        acl.operation.name,
        acl.permission_type.name,
        resource.resource_type.name,
        resource.resource_name,
        resource.pattern_type.name,
    )


def _filter_of(acl: ACL) -> ACLFilter:
    resource = acl.resource_pattern
    exactly = ResourcePatternFilter(resource.resource_type, resource.resource_name, resource.pattern_type)
    return ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, exactly)
