"""Short ways to say an event in a test."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from neutrality.events.cloudevent import Event, event_from_document

AT = datetime(2025, 6, 13, tzinfo=UTC)
_ids = count(1)


def event(
    kind: str, *, status: str = "completed", day: int = 0, by: tuple[str, int] = ("official_statement", 1), **data: Any
) -> Event:
    """An event recorded and effective `day` days after 2025-01-01; give `id`, `time` or `effective_time` to say otherwise."""
    number = next(_ids)
    time = data.pop("time", (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day)).isoformat())
    identity = data.pop("id", f"e{number}")
    if kind != "correction":
        data = {
            "claim_id": f"c{number}",
            "status": status,
            "effective_time": time,
            "evidence": [{"kind": by[0], "publisher": "a test", "independent_sources": by[1]}],
            **data,
        }
    document = {
        "specversion": "1.0",
        "id": identity,
        "source": "urn:test",
        "type": f"watch.neutrality.{kind}.v1",
        "time": time,
        "data": data,
    }
    return event_from_document(document)


def lab(entity: str, **data: Any) -> Event:
    """An AI lab."""
    return event("entity", subject=entity, is_lab=True, claim_id="lab", id=f"lab-{entity}", **data)


def vendor(entity: str, **data: Any) -> Event:
    """A vendor."""
    return event("entity", subject=entity, is_vendor=True, claim_id="vendor", id=f"vendor-{entity}", **data)


def stake(party: str, subject: str, share: float | None, *, of: str = "shareholding", **data: Any) -> Event:
    """A share of equity or votes; None: unknown."""
    if share is not None:
        data["share"] = {"exact": share}
    data.setdefault("claim_id", f"{party}-{of}")
    return event("interest", subject=subject, interested_party=party, interest_type=of, **data)


ONE_OF_EACH = [
    lab("meta"),
    stake("meta", "scale-ai", 0.49),
    event("role", subject="v", person="p", role_type="executive"),
    event("contract", subject="v", customer="c"),
    event("revenue", subject="v", fiscal_year=2024, amount={"amount": "870000000"}),
    event("correction", subject="v", retracts_claim="c", reason="a test"),
]
