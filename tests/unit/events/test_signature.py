"""Signatures: the known key of RFC 8037, and whatever is changed is found."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from neutrality.events.cloudevent import event_from_kafka, event_to_kafka
from neutrality.events.signature import BadSignature, sign, verify
from tests.support.events import ONE_OF_EACH, stake

# RFC 8037, appendix A.1
KEY = OKPKey.import_key(
    {
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }
)
KEYS = {"a": KEY}


def test_a_signature_is_always_the_same_and_detached() -> None:
    event = stake("meta", "v", 0.49, id="known")
    signed = sign(event, KEY, "a")
    header, payload, value = str(signed.signature).split(".")
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"Ed25519","kid":"a"}'
    assert payload == ""
    assert len(base64.urlsafe_b64decode(value + "==")) == 64
    assert sign(signed, KEY, "a") == signed
    assert verify(signed, KEYS) == "a"


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.type)
def test_whoever_reads_the_topics_can_check_it(event: object) -> None:
    signed = sign(event, KEY, "a")  # type: ignore[arg-type]
    headers, value = event_to_kafka(signed)
    assert verify(event_from_kafka(headers, value), KEYS) == "a"


@given(st.sampled_from(["id", "source", "time"]), st.floats(0, 1))
def test_whatever_is_changed_is_found(field: str, share: float) -> None:
    signed = sign(stake("meta", "v", 0.49, id="known"), KEY, "a")
    other = stake("meta", "v", share, id="other").model_copy(update={"signature": signed.signature})
    with pytest.raises(BadSignature):
        verify(other, KEYS)
    if field != "time":
        with pytest.raises(BadSignature):
            verify(signed.model_copy(update={field: "changed"}), KEYS)


@pytest.mark.parametrize(
    "wrong", ["", "a.b.c", "a..b", "..", "e30..e30", "eyJhbGciOiJub25lIn0..", "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ..AAAA"]
)
def test_what_is_no_signature_of_a_known_key_is_refused(wrong: str) -> None:
    with pytest.raises(BadSignature):
        verify(stake("meta", "v", 0.49).model_copy(update={"signature": wrong}), KEYS)
