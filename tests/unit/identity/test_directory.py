"""Who is meant: identifier first, then the name at that time, else nobody known; never by likeness, never where two could be meant."""

from datetime import UTC, datetime
from itertools import permutations
from typing import Any

from neutrality.events.cloudevent import Event
from neutrality.identity.directory import Directory, StoreInMemory
from neutrality.model.methodology import load_methodology
from tests.support.events import event

LEI = "5493001KJTIIGC8Y1R12"
OTHER_LEI = "213800HZ54TG54H2KV03"


def company(entity: str, **data: Any) -> Event:
    return event("entity", subject=entity, **data)


def directory(*events: Event) -> Directory:
    found = Directory(StoreInMemory(), load_methodology())
    found.learn(events)
    return found


def test_an_identifier_means_the_one_who_bears_it() -> None:
    known = directory(company("meta", identifiers=[{"scheme": "LEI", "id": LEI}]))
    assert known.canonical(f"lei:{LEI.lower()}") == "meta"
    assert known.canonical("lei:213800hz54tg54h2kv03") == "lei:213800hz54tg54h2kv03"


def test_a_name_means_the_one_who_bore_it_at_that_time() -> None:
    known = directory(
        company(
            "meta",
            claim_id="former-name",
            aliases=["Facebook, Inc."],
            end_time="2021-10-28T00:00:00Z",
            time="2004-02-04T00:00:00Z",
        ),
        company("facebook-ghana", name="Facebook Inc", time="2022-01-01T00:00:00Z"),
    )
    assert known.canonical("name:facebook-inc", datetime(2015, 1, 1, tzinfo=UTC)) == "meta"
    assert known.canonical("name:facebook-inc", datetime(2021, 12, 1, tzinfo=UTC)) == "name:facebook-inc"
    assert known.canonical("name:facebook-inc", datetime(2023, 1, 1, tzinfo=UTC)) == "facebook-ghana"


def test_where_two_bear_one_name_nobody_is_meant() -> None:
    known = directory(company("a", name="Acme Ltd"), company("b", name="ACME LTD."))
    assert known.canonical("name:acme-ltd") == "name:acme-ltd"
    known.learn([company("b", claim_id="same", merged_into="a")])
    assert known.canonical("name:acme-ltd") == "a"


def test_likeness_is_not_enough() -> None:
    known = directory(company("meta", name="Meta Platforms, Inc."))
    assert known.canonical("name:meta") == "name:meta"
    assert known.canonical("name:meta-platforms") == "name:meta-platforms"


def test_only_what_stands_counts() -> None:
    rumour = company("meta", name="Metaverse", by=("rumour", 1))
    ended = company("meta", claim_id="n", name="FB", time="2020-01-01T00:00:00Z")
    known = directory(rumour, ended, company("meta", claim_id="n", status="terminated", time="2021-01-01T00:00:00Z"))
    assert known.canonical("name:metaverse") == "name:metaverse"
    assert known.canonical("name:fb") == "name:fb"
    assert known.canonical("name:fb", datetime(2020, 6, 1, tzinfo=UTC)) == "meta"


def test_a_retracted_merger_is_none() -> None:
    merger = company("name:meta", merged_into="meta", id="m")
    known = directory(merger)
    assert known.canonical("name:meta") == "meta"
    back = event("correction", subject="name:meta", retracts_event={"source": "urn:test", "id": "m"}, reason="another Meta")
    assert "name:meta" in known.learn([back])
    assert known.canonical("name:meta") == "name:meta"


def test_mergers_are_followed_and_a_ring_has_one_canonical_id() -> None:
    known = directory(company("a", merged_into="b"), company("b", merged_into="c"))
    assert [known.canonical(one) for one in "abc"] == ["c"] * 3
    known.learn([company("c", merged_into="b")])
    assert [known.canonical(one) for one in "abc"] == ["b"] * 3


def test_different_identifiers_block_a_merger() -> None:
    known = directory(
        company("one", identifiers=[{"scheme": "LEI", "id": LEI}, {"scheme": "domain", "id": "one.example"}]),
        company("two", identifiers=[{"scheme": "LEI", "id": OTHER_LEI}]),
        company("three", identifiers=[{"scheme": "domain", "id": "three.example"}]),
        company("four", identifiers=[{"scheme": "CIK", "id": "1"}]),
        company("four", claim_id="m", merged_into="one"),
    )
    assert "they are two" in (known.conflict("one", "two") or "")
    assert "they are two" in (known.conflict("two", "four") or "")  # by the LEI of the one it was merged into
    assert "already" in (known.conflict("one", "four") or "")
    assert known.conflict("three", "one") is None


def test_the_order_of_events_makes_no_difference() -> None:
    events = [
        company("meta", id="1", identifiers=[{"scheme": "LEI", "id": LEI}], aliases=["Facebook"]),
        company("instagram", id="2", merged_into="meta"),
        company("meta", id="3", claim_id="name", name="Meta"),
        event("correction", id="4", subject="meta", retracts_event={"source": "urn:test", "id": "3"}, reason="a test"),
    ]
    asked = [f"lei:{LEI.lower()}", "name:facebook", "name:meta", "instagram"]
    for order in permutations([*events, events[1]]):
        known = Directory(StoreInMemory(), load_methodology())
        for one in order:
            known.learn([one])
        assert [known.canonical(one) for one in asked] == ["meta", "meta", "name:meta", "meta"]


def test_it_goes_on_from_what_its_store_holds() -> None:
    store = StoreInMemory()
    Directory(store, load_methodology()).learn([company("meta", name="Meta"), company("fb", merged_into="meta")])
    again = Directory(store, load_methodology())
    assert (again.canonical("name:meta"), again.canonical("fb"), "meta" in again, "x" in again) == ("meta", "meta", True, False)
    assert list(again.entities()) == ["fb", "meta"]
