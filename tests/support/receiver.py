"""A webhook receiver on a real port that answers as it is told, and checks signatures with the official library."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

Answer = Callable[["Received", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The message; raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


def status(line: str, *headers: str, body: bytes = b"") -> Answer:
    """An answer of this status line."""

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join([f"HTTP/1.1 {line}", f"Content-Length: {len(body)}", *headers, "", ""])
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


async def silent(_: Received, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def cut(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def garbage(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff\x13garbage\r\n\r\n")
    writer.close()


async def endless(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")
        await writer.drain()


OK = status("204 No Content")


@dataclass
class Receiver:
    """Answers come from `answers` one after another, then `then`."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    then: Answer = OK

    async def until(self, count: int, within_s: float = 10.0) -> list[Received]:
        """Wait until so many requests have come."""
        async with asyncio.timeout(within_s):
            while len(self.received) < count:
                await asyncio.sleep(0.01)
        return self.received

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                one = Received(line.decode().split()[1], headers, body)
                self.received.append(one)
                await (self.answers.pop(0) if self.answers else self.then)(one, writer)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(*answers: Answer, then: Answer = OK, **how: Any) -> AsyncIterator[Receiver]:
    made = Receiver(answers=list(answers), then=then)
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        await made._talk(reader, writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0, **how)
    made.url = f"http{'s' if how.get('ssl') else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield made
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def ids(received: list[Received]) -> list[str]:
    return [one.id for one in received]


def message(one: Received) -> Any:
    return json.loads(one.body)
