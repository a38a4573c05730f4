"""What the routes of alerts share: parameters, bodies, answers."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Path, Request, Response
from pydantic import AwareDatetime, BeforeValidator, TypeAdapter, ValidationError

from neutrality.events.vocabulary import EntityId
from neutrality.http import Fault, HttpProblem, json_pointer
from services.alerts.domain.subscription import SubscriptionName

LabId = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$",  # an entity id without ":", which Kafka's topic names do not take
        description="The lab's entity id: lower-case letters, digits and . _ -, at most 128 characters.",
    ),
]
Name = Annotated[SubscriptionName, Path()]
VendorId = Annotated[EntityId, Path(description="The vendor's entity id.")]
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d.*")


def _rfc_3339(value: Any) -> Any:
    """Pydantic would take a number for seconds since 1970, and a year for one."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value) is None:
        raise ValueError("a time by RFC 3339, such as 2025-06-12T00:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc_3339)]
MAX_BODY_BYTES: Final = 1024 * 1024
_Body = TypeVar("_Body")


async def read_body(request: Request, model: TypeAdapter[_Body] | type[_Body], kind: str) -> _Body:
    """The body as a model. Raises HttpProblem, of this kind if it is not valid."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", f"At most {MAX_BODY_BYTES} bytes.")
    try:
        return _adapter(model).validate_json(bytes(body))
    except ValidationError as error:
        document = _parsed(bytes(body))
        faults = [
            Fault(json_pointer(_place(document, item["loc"])), item["msg"].removeprefix("Value error, "))
            for item in error.errors()
        ]
        raise HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, kind, "Nothing was changed; see `errors`.", errors=faults) from error


def body_of(model: TypeAdapter[Any] | type[Any]) -> dict[str, Any]:
    """FastAPI's `openapi_extra=` for a route that reads such a body. Definitions are put in place: references would lead nowhere there."""
    schema = _adapter(model).json_schema()
    definitions = schema.pop("$defs", {})
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _resolved(schema, definitions)}}}}


def _resolved(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_resolved(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if (reference := schema.get("$ref")) is not None:
        return _resolved(definitions[reference.removeprefix("#/$defs/")], definitions) | {
            k: v for k, v in schema.items() if k != "$ref"
        }
    # a mapping of a discriminator holds references too; what it says, each schema's constant says as well
    return {key: _resolved(value, definitions) for key, value in schema.items() if key != "discriminator"}


def _adapter(model: TypeAdapter[_Body] | type[_Body]) -> TypeAdapter[_Body]:
    return model if isinstance(model, TypeAdapter) else TypeAdapter(model)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _place(document: Any, path: Sequence[str | int]) -> list[str | int]:
    """Of pydantic's path the steps that lead through the document: it names the members of unions too."""
    steps: list[str | int] = []
    for number, step in enumerate(path):
        leads_on = step in document if isinstance(document, dict) else isinstance(document, list) and isinstance(step, int)
        if leads_on:
            document = document[step]
            steps.append(step)
        elif number == len(path) - 1:
            steps.append(step)
    return steps


def key_of(request: Request) -> str | None:
    """The id of the key that a request was let in by; None if no keys are asked for."""
    found: str | None = getattr(request.state, "key", None)
    return found


def json_answer(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """JSON."""
    return Response(orjson.dumps(document), status, media_type="application/json")


def not_found(detail: str) -> HttpProblem:
    """404."""
    return HttpProblem(HTTPStatus.NOT_FOUND, "not-found", detail)
