"""What the routes of alerts share: parameters, bodies, answers."""

from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Path, Request, Response
from pydantic import ValidationError

from neutrality.events.vocabulary import Wire
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
MAX_BODY_BYTES: Final = 1024 * 1024
_Body = TypeVar("_Body", bound=Wire)


async def read_body(request: Request, model: type[_Body], kind: str) -> _Body:
    """The body as a model. Raises HttpProblem, of this kind if it is not valid."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", f"At most {MAX_BODY_BYTES} bytes.")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        faults = [Fault(json_pointer(item["loc"]), item["msg"].removeprefix("Value error, ")) for item in error.errors()]
        raise HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, kind, "Nothing was changed; see `errors`.", errors=faults) from error


def json_answer(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """JSON."""
    return Response(orjson.dumps(document), status, media_type="application/json")


def not_found(detail: str) -> HttpProblem:
    """404."""
    return HttpProblem(HTTPStatus.NOT_FOUND, "not-found", detail)
