"""A lab's side of alerts over HTTP: one request and its answer, told as text or as JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from neutrality.cli.addresses import authorization, read_key
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end

Lab = Annotated[str, typer.Option(help="The lab.")]


@dataclass(frozen=True, slots=True)
class LabApi:
    """Where a lab's things are, and how its answers are told."""

    url: str
    lab: str
    key_file: Path | None
    as_json: bool = False

    def ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        """The answer. Ends the command if alerts refuses, or does not answer."""
        headers = authorization(read_key(self.key_file))
        try:
            answer = httpx.request(method, f"{self.url.rstrip('/')}/labs/{self.lab}{path}", headers=headers, timeout=90.0, **how)
        except httpx.TransportError as error:
            end(f"alerts at {self.url} does not answer ({error}); is `neutrality up` running?", Exit.UNREACHABLE)
        if not answer.is_success:
            end(refusal(answer), Exit.UNREACHABLE if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else Exit.FAILED)
        document: dict[str, Any] = answer.json() if answer.content else {}
        return document

    def tell(self, document: dict[str, Any], words: str) -> None:
        """The document, or what it says in words."""
        tell(document, words, as_json=self.as_json)


def tell(document: dict[str, Any], words: str, *, as_json: bool) -> None:
    """The document, or what it says in words."""
    if as_json:
        print_json(document)
    else:
        Console(highlight=False, soft_wrap=True).print(escape(words))


def refusal(answer: httpx.Response) -> str:
    """What alerts says is wrong."""
    try:
        problem = answer.json()
    except ValueError:
        return f"alerts answered {answer.status_code}: {answer.text[:500]}"
    errors = "".join(f"\n  {one['pointer'] or '(the whole)'}: {one['detail']}" for one in problem.get("errors", ()))
    return f"{problem.get('detail', answer.status_code)}{errors}"
