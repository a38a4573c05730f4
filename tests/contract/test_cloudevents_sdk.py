"""What we write to Kafka the official CloudEvents SDK reads, and the other way round."""

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from neutrality.events.cloudevent import event_from_kafka, event_to_document, event_to_kafka
from tests.support.events import stake

ORIGINAL = stake("meta", "scale-ai", 0.49)


def test_the_sdk_reads_what_we_write() -> None:
    headers, value = event_to_kafka(ORIGINAL)
    read = from_kafka(KafkaMessage(headers=dict(headers), key=None, value=value), JSONFormat())
    assert (read.get_id(), read.get_source(), read.get_type()) == (ORIGINAL.id, ORIGINAL.source, ORIGINAL.type)
    assert read.get_time() == ORIGINAL.time
    assert read.get_data() == event_to_document(ORIGINAL)["data"]


def test_we_read_what_the_sdk_writes_in_both_modes() -> None:
    document = event_to_document(ORIGINAL)
    data = document.pop("data")
    written = CloudEvent({**document, "time": ORIGINAL.time}, data)
    for message in (to_binary(written, JSONFormat()), to_structured(written, JSONFormat())):
        assert event_to_document(event_from_kafka(message.headers.items(), message.value)) == event_to_document(ORIGINAL)
