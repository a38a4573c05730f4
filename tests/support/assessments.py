"""Short ways to say an assessment in a test."""

from typing import Any

from neutrality.events.alert import Alert, Reason, alert_id
from neutrality.events.assessment import Assessment, Cause, ClaimNote, Part, Score, Term

STAKE = "meta-equity"


def score(confirmed: float, **more: Any) -> Score:
    """A score; grade N1 and a stable outlook unless said otherwise."""
    values: dict[str, Any] = {
        "projected": confirmed,
        "low": confirmed,
        "high": confirmed,
        "grade": "N1",
        "outlook": "stable",
        **more,
    }
    return Score(confirmed=confirmed, **values)


def assessment(
    version: int, headline: Score, *, vendor: str = "scale-ai", losses: dict[str, float] | None = None, **labs: Score
) -> Assessment:
    """An assessment whose points are lost to `losses` (log losses by claim), all through Meta's ownership."""
    together = sum((losses or {}).values())
    terms: tuple[Term, ...] = ()
    if losses:
        parts = tuple(Part(claim, loss / together, "meta") for claim, loss in losses.items())
        terms = (Term("meta", "ownership", 0.49, together, parts),)
    return Assessment(
        vendor=vendor,
        name=vendor.replace("-", " ").title(),
        version=version,
        methodology="2026.1",
        headline=headline,
        labs=labs,
        excluded={},
        confirmed=terms,
        projected=terms,
        coverage={"ownership": True},
        claims=tuple(note(claim) for claim in losses or {}),
        cause=Cause("urn:test", f"event-{version}", "neutrality.ownership", 0, version, 1_750_000_000_000),
    )


def note(claim_id: str) -> ClaimNote:
    """What an assessment says of a claim."""
    return ClaimNote(
        claim_id, "interest", "Meta holds 49 % of the equity of Scale AI", "completed", "confirmed", 0.95,
        "2025-06-12T00:00:00Z", "2025-06-12T00:00:00Z", "urn:test", "e", ({"kind": "official_statement", "publisher": "Meta"},),
    )  # fmt: skip


def reason(**more: Any) -> Reason:
    """Meta's 49 %, for 39.2 points, on Meta's own word."""
    values: dict[str, Any] = {
        "claim_id": STAKE,
        "lab": "meta",
        "channel": "ownership",
        "through": "meta",
        "points": 39.2,
        "summary": "Meta takes 49 % of Scale AI",
        "status": "completed",
        "credibility": 0.95,
        "evidence": ({"kind": "official_statement", "publisher": "Meta", "url": "https://example.com/meta"},),
        **more,
    }
    return Reason(**values)


def alert(version: int = 1, **more: Any) -> Alert:
    """Google is told that Scale AI was regraded from N1 to N4."""
    vendor = more.get("vendor", "scale-ai")
    values: dict[str, Any] = {
        "id": alert_id("google", "desk", "grade", vendor, version),
        "lab": "google",
        "subscription": "desk",
        "rule": "grade",
        "vendor": vendor,
        "vendor_name": vendor.replace("-", " ").title(),
        "version": version,
        "title": f"{vendor.replace('-', ' ').title()} was regraded from N1 to N4 for google (100.0 to 38.9)",
        "before": score(100.0),
        "after": score(38.9, grade="N4", outlook="negative"),
        "reasons": (reason(),),
        "raised_at": "2025-06-12T12:00:00Z",
        **more,
    }
    return Alert(**values)
