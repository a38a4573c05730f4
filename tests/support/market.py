"""A market of vendors, owners and labs that trials and benchmarks feed to scoring: as many events, over as many entities, as they need."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from neutrality.events.cloudevent import Event, event_from_document, to_kafka_binary, topic_kind_of_type

BEGINNING: Final = datetime(2024, 1, 1, tzinfo=UTC)
SPAN: Final = timedelta(days=600)
SLOTS: Final = 4  # claims of a kind that an entity has at most: later events report anew on the same claims
RING: Final = 3  # entities in a ring

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Market:
    """What shapes a market.

    Entities stand on `depth` levels. The lowest are held by labs and funds, each other one by those of the level below it; those of the top
    level and a third of the rest are vendors. `ring_share` of the entities of the top level (0..1) are tied in rings of three that hold 20 %
    of one another. Eight of ten events are about interests, one of ten about a role, one of ten about revenue. All times are spread evenly over
    `SPAN`; an id names one event, so the same market twice is the same log twice.
    """

    entities: int
    labs: int = 5
    depth: int = 4
    ring_share: float = 0.0
    seed: int = 1

    def events(self, count: int) -> Iterator[Event]:
        """The first `count` events, those that say who is a lab or a vendor first. Raises ValueError for fewer than these are."""
        return map(event_from_document, self.documents(count))

    def records(self, count: int) -> Iterator[tuple[str, bytes, Headers, bytes]]:
        """The same as Kafka's topic, key, headers and value; not validated, which is most of the time that `events` takes."""
        for document in self.documents(count):
            headers, value = to_kafka_binary(document)
            yield f"neutrality.{topic_kind_of_type(document['type'])}", document["subject"].encode(), headers, value

    def vendors(self) -> int:
        """How many vendors there are."""
        return sum(map(self._is_vendor, range(self.entities)))

    def documents(self, count: int) -> Iterator[dict[str, Any]]:
        """The same in structured JSON form."""
        first = list(self._said_first())
        if count < len(first):
            raise ValueError(f"a market of {self.entities} entities begins with {len(first)} events, more than {count}")
        random = Random(self.seed)
        step = SPAN / count
        for number in range(count):
            kind, data = first[number] if number < len(first) else self._event(random)
            time = (BEGINNING + number * step).isoformat()
            yield {
                "specversion": "1.0",
                "id": f"{self.seed}-{number}",
                "source": "urn:market",
                "type": f"watch.neutrality.{kind}.v1",
                "time": time,
                "subject": data["subject"],
                "data": {
                    "status": "completed",
                    "effective_time": time,
                    "evidence": [{"kind": "filing", "publisher": "Companies Registry"}],
                    **data,
                },
            }

    def _is_vendor(self, index: int) -> bool:
        return index % 3 == 0 or self._is_top(index)

    def _is_top(self, index: int) -> bool:
        return index % self.depth == self.depth - 1

    def _name(self, index: int) -> str:
        return f"entity-{index:06}"

    def _lab(self, random: Random) -> str:
        return f"lab-{random.randrange(self.labs)}"

    def _said_first(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for lab in range(self.labs):
            yield "entity", {"subject": f"lab-{lab}", "claim_id": "what", "is_lab": True, "name": f"Lab {lab}"}
        top = list(filter(self._is_top, range(self.entities)))
        for index in range(self.entities):
            if self._is_vendor(index):
                yield "entity", {"subject": self._name(index), "claim_id": "what", "is_vendor": True, "name": f"Entity {index}"}
        in_rings = top[: int(len(top) * self.ring_share) // RING * RING]
        for start in range(0, len(in_rings), RING):
            ring = in_rings[start : start + RING]
            for index, party in zip(ring, [ring[-1], *ring], strict=False):
                yield "interest", self._stake(self._name(index), self._name(party), "shareholding", 0.2, "ring")

    def _event(self, random: Random) -> tuple[str, dict[str, Any]]:
        index = random.randrange(self.entities)
        subject, kind, slot = self._name(index), random.random(), random.randrange(SLOTS)
        if kind < 0.8:
            interest = "shareholding" if random.random() < 0.7 else "votingRights"
            share = random.randrange(1, 20) / 100
            return "interest", self._stake(subject, self._party(random, index), interest, share, f"{interest}-{slot}")
        if kind < 0.9:
            role = "board_member" if random.random() < 0.7 else "executive"
            person = f"person-{random.randrange(self.entities)}"
            return "role", {"subject": subject, "person": person, "role_type": role, "claim_id": f"role-{slot}"}
        if random.random() < 0.5:
            amount = {"amount": "1000000", "currency": "USD"}
            return "revenue", {"subject": subject, "claim_id": "revenue", "fiscal_year": 2023, "amount": amount}
        customer, amount = self._lab(random), {"amount": "100000", "currency": "USD"}
        return (
            "revenue",
            {
                "subject": subject,
                "claim_id": f"revenue-{customer}",
                "customer": customer,
                "fiscal_year": 2023,
                "amount": amount,
            },
        )

    def _party(self, random: Random, index: int) -> str:
        if level := index % self.depth:
            below = random.randrange((self.entities - level) // self.depth + 1) * self.depth + level - 1
            return self._name(min(below, self.entities - 1))
        return self._lab(random) if random.random() < 0.3 else f"fund-{random.randrange(self.entities // 10 + 1)}"

    def _stake(self, subject: str, party: str, interest: str, share: float, claim: str) -> dict[str, Any]:
        return {
            "subject": subject,
            "interested_party": party,
            "interest_type": interest,
            "share": {"exact": share},
            "claim_id": claim,
        }
