"""What is unresolved is listed with near matches; likeness alone never resolves anything."""

from neutrality.identity.survey import directory_of, suggestions, unresolved
from neutrality.model.methodology import load_methodology
from tests.support.events import event, stake

EVENTS = [
    event("entity", subject="meta", name="Meta Platforms, Inc."),
    event("entity", subject="scale-ai", aliases=["Scale AI Inc"]),
    event("entity", subject="acme-1", name="Acme Ltd"),
    event("entity", subject="acme-2", name="Acme Ltd"),
    stake("name:meta-platforms", "name:scale-ai-inc", 0.49),
    stake("name:meta-platforms", "scale-ai", 0.1),
    stake("name:acme-ltd", "scale-ai", 0.1),
    stake("lei:5493001kjtiigc8y1r12", "scale-ai", 0.1),
    stake("plain", "scale-ai", 0.1),
]


def test_what_no_event_explains_is_listed_with_how_often_and_whom_it_may_mean() -> None:
    found = unresolved(EVENTS, directory_of(EVENTS, load_methodology()))
    assert [(one.entity, one.events, one.ambiguous) for one in found] == [
        ("name:meta-platforms", 2, ()),
        ("lei:5493001kjtiigc8y1r12", 1, ()),
        ("name:acme-ltd", 1, ("acme-1", "acme-2")),
    ]
    [like] = found[0].suggestions
    assert (like.entity, like.name, like.against) == ("meta", "Meta Platforms, Inc.", None)
    assert like.likeness < 100
    assert found[1].suggestions == ()


def test_an_identifier_speaks_against_a_like_name() -> None:
    events = [
        event(
            "entity",
            subject="lei:5493001kjtiigc8y1r12",
            name="Meta Platforms Inc",
            identifiers=[{"scheme": "LEI", "id": "5493001KJTIIGC8Y1R12"}],
        ),
        event("entity", subject="facebook", name="Meta Platforms", identifiers=[{"scheme": "LEI", "id": "213800HZ54TG54H2KV03"}]),
    ]
    directory = directory_of(events, load_methodology())
    assert "they are two" in (directory.conflict("lei:5493001kjtiigc8y1r12", "facebook") or "")
    assert [one.entity for one in suggestions("META PLATFORMS", directory)] == ["facebook", "lei:5493001kjtiigc8y1r12"]
