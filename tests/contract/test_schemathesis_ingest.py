"""Schemathesis over ingest's OpenAPI document: what it says of requests and answers is what the service does.

One check is left out: that whatever fits the schema is accepted. No schema says that a body is compressed as Content-Encoding tells, that
binary mode wants its headers, or that a range's minimum is below its maximum.
"""

import json
from http import HTTPStatus
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, settings
from prometheus_client import CollectorRegistry
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from neutrality.broker.memory import MemoryBroker
from services.ingest.entrypoints.http import build_app
from services.ingest.entrypoints.ndjson import MEDIA_TYPE as NDJSON
from services.ingest.handlers import Intake
from services.ingest.metrics import IngestMetrics
from services.ingest.received import OwnWrites, ReceivedInMemory
from services.ingest.settings import IngestSettings
from tests.support.ingest import NOW, new_identities

# lines are rejected one by one under 200; 413 is not among the statuses that Schemathesis takes for a rejection
REJECT_IN_THEIR_WAY: Final = frozenset({HTTPStatus.OK, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})


def an_app() -> Any:
    registry = CollectorRegistry()
    metrics = IngestMetrics(registry)
    publisher = MemoryBroker().publisher()
    intake = Intake(
        publisher, ReceivedInMemory(), OwnWrites(), new_identities(), metrics, clock=lambda: NOW, stopwatch_s=lambda: 0.0
    )
    return build_app(IngestSettings.model_construct(), intake, metrics, registry, topics_are_ready=lambda: True)


@schemathesis.serializer(NDJSON)
def a_line(_context: object, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


schema = schemathesis.openapi.from_asgi("/openapi.json", an_app())


@schema.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_what_the_document_says(case: schemathesis.Case[Any]) -> None:
    response = case.call()
    excluded: list[Any] = [positive_data_acceptance]
    if response.status_code in REJECT_IN_THEIR_WAY:
        excluded.append(negative_data_rejection)
    case.validate_response(response, excluded_checks=excluded)
