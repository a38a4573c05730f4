"""JSON Schemas (Draft 2020-12) of all that crosses a border, the topics' contracts and their AsyncAPI document, generated from the code.

Run as `python -m neutrality.events.schemas [--check] FOLDER`; `--check` fails and names the files that have drifted.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from neutrality.acls import GRANTS, grants_of_lab
from neutrality.events.alert import ALERT_TYPE, Alert
from neutrality.events.assessment import ASSESSMENT_TYPE, Assessment
from neutrality.events.asyncapi import asyncapi_document
from neutrality.events.cloudevent import EVENT_MODELS, TYPE_PREFIX
from neutrality.topics import TOPICS, alerts_topic

ACLS = "acls.json"  # the same
ASYNCAPI = "asyncapi.json"  # beside the folder of the schemas that it refers to
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def generated_files() -> Iterator[tuple[str, str]]:
    """Name and content of every generated file."""
    for model in EVENT_MODELS:
        event_type = str(model.model_fields["type"].default)
        schema = model.model_json_schema()
        # a default of `type` or `specversion` is our constructors' convenience; on the wire both are required
        schema["required"] = sorted({*schema["required"], "type", "specversion"})
        yield f"{event_type.removeprefix(TYPE_PREFIX)}.schema.json", _text(event_type, schema)
    for event_type, data in ((ASSESSMENT_TYPE, Assessment), (ALERT_TYPE, Alert)):
        yield f"{event_type.removeprefix(TYPE_PREFIX)}.schema.json", _text(event_type, TypeAdapter(data).json_schema())
    topics = [asdict(topic) for topic in (*TOPICS, alerts_topic("LAB"))]
    yield "topics.json", json.dumps(topics, indent=2) + "\n"


def acls_file() -> str:
    """Who may do what on a secured Kafka; LAB stands for each lab."""
    return json.dumps([asdict(grant) for grant in (*GRANTS, *grants_of_lab("LAB"))], indent=1) + "\n"


def asyncapi_file() -> str:
    """The AsyncAPI document of the topics."""
    return json.dumps(asyncapi_document(), indent=2) + "\n"


def drifted(folder: Path) -> list[str]:
    """Files in and beside `folder` that differ from what the code says, are missing, or are left over."""
    expected = dict(generated_files())
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    found = [name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name)]
    for name, text in ((ASYNCAPI, asyncapi_file()), (ACLS, acls_file())):
        beside = folder.parent / name
        if not beside.is_file() or beside.read_text(encoding="utf-8") != text:
            found.append(name)
    return sorted(found)


def _text(event_type: str, schema: dict[str, Any]) -> str:
    return json.dumps({"$schema": _DIALECT, "$id": f"urn:{event_type}", **schema}, indent=2) + "\n"


def main() -> int:
    """Write or check; exit code 1 if anything has drifted."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("folder", type=Path)
    options = arguments.parse_args()
    if options.check:
        names = drifted(options.folder)
        if names:
            sys.stderr.write(f"not what the code says (run `make generate`): {', '.join(names)}\n")
        return 1 if names else 0
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, text in generated_files():
        (options.folder / name).write_text(text, encoding="utf-8")
    (options.folder.parent / ASYNCAPI).write_text(asyncapi_file(), encoding="utf-8")
    (options.folder.parent / ACLS).write_text(acls_file(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
