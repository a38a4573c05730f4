"""One signed request, and every way in which a receiver may answer it."""

import asyncio
import json
import ssl
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from services.alerts.channels.webhook import Poster, signed
from services.alerts.domain.attempts import Attempt
from services.alerts.endpoints.sealing import new_secret
from tests.support.receiver import Answer, cut, endless, garbage, receiver, silent, status

ALLOWED = (ip_network("127.0.0.0/8"),)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the specification's test vector


def post(answer: Answer, *, timeout_s: float = 5.0) -> tuple[Attempt, int]:
    """An attempt, and how many requests came."""

    async def run() -> tuple[Attempt, int]:
        async with receiver(then=answer) as there:
            poster = Poster(ALLOWED, timeout_s=timeout_s)
            try:
                found = await poster.post(there.url, b"{}", identity="i", secrets=[SECRET], now=datetime.now(UTC))
            finally:
                await poster.aclose()
            return found, len(there.received)

    return asyncio.run(run())


def test_the_published_vector() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    found = signed(b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek", [SECRET], at)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert found["webhook-timestamp"] == "1614265330"


def test_the_official_library_verifies_under_each_active_secret_and_no_other() -> None:
    now, secrets = datetime.now(UTC), [new_secret().secret for _ in range(3)]
    headers = {str(name): str(value) for name, value in signed(b'{"a":1}', "al_1", secrets[:2], now).items()}
    for secret in secrets[:2]:
        assert Webhook(secret).verify(b'{"a":1}', headers) == {"a": 1}
    for secret, body in ((secrets[2], b'{"a":1}'), (secrets[0], b'{"a":2}')):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


@pytest.mark.parametrize("line", ["200 OK", "202 Accepted", "204 No Content", "299 Odd"])
def test_2xx_is_a_success(line: str) -> None:
    assert post(status(line))[0].succeeded


@pytest.mark.parametrize("line", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_is_a_failure_and_is_not_followed(line: str) -> None:
    found, requests = post(status(line, "Location: /elsewhere"))
    assert (found.succeeded, found.status, requests) == (False, int(line[:3]), 1)


@pytest.mark.parametrize("code", [400, 401, 404, 410, 429, 500, 502, 503])
def test_an_error_is_a_failure_with_its_status(code: int) -> None:
    found, _ = post(status(f"{code} X"))
    assert (found.succeeded, found.status, found.is_gone) == (False, code, code == 410)


@pytest.mark.parametrize(("answer", "fault"), [(cut, "connection-cut"), (garbage, "not-http")])
def test_no_answer_is_told_as_what_it_was(answer: Answer, fault: str) -> None:
    found, _ = post(answer)
    assert (found.status, found.fault, found.outcome) == (None, fault, fault)


def test_silence_ends_at_the_time_limit() -> None:
    found, _ = post(silent, timeout_s=0.3)
    assert (found.fault, found.status) == ("timeout", None)
    assert 0.25 < found.duration_s < 2.0


def test_an_answer_without_end_is_not_read() -> None:
    found, _ = post(endless)
    assert found.succeeded
    assert found.duration_s < 2.0


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("99999999999999", 999999999.0), ("soon", None), ("-5", None), ("", None)]
)
def test_retry_after_is_read_if_it_can_be(value: str, seconds: float | None) -> None:
    assert post(status("429 Too Many Requests", f"Retry-After: {value}"))[0].retry_after_s == seconds


@pytest.mark.parametrize(
    ("head", "rest", "told"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"ZZZ\r\nabc", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"f" * 20 + b"\r\nabc", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"abc", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n", b"abc", 200),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", b"xx", 101),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"abc", "not-http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"abcdef", "not-http"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", b"", "not-http"),
        (b"HTTP/1.1 200 OK\r\nX\x00: \xff\xfe\r\n\r\n", b"", "not-http"),
        (b"HTTP/1.1 20x OK\r\n\r\n", b"", "not-http"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10, b"", "connection-cut"),
    ],
)
def test_whatever_a_receiver_answers_is_told_and_never_raised(head: bytes, rest: bytes, told: int | str) -> None:
    """A status stands, however the rest comes."""

    async def hostile(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(rest)
        writer.close()

    found, _ = post(hostile)
    assert (found.status or found.fault) == told


def test_retry_after_may_be_a_date() -> None:
    at = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 60, UTC)
    found = post(status("503 X", f"Retry-After: {format_datetime(at, usegmt=True)}"))[0].retry_after_s
    assert found is not None
    assert 50 < found <= 60


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://127.0.0.1:9/", "forbidden-address"),
        ("https://localhost:9/", "forbidden-address"),
        ("https://no-such-host.invalid/", "name-not-resolved"),
        (f"https://{'a' * 70}.example/", "name-not-resolved"),
    ],
)
def test_what_cannot_be_reached_is_told(url: str, fault: str) -> None:
    async def run() -> Attempt:
        async with aclosing(Poster((), timeout_s=5.0)) as poster:
            return await poster.post(url, b"{}", identity="i", secrets=[SECRET], now=datetime.now(UTC))

    assert asyncio.run(run()).fault == fault


def test_nobody_listening_is_told() -> None:
    async def run() -> Any:
        async with receiver() as there:
            url = there.url
        async with aclosing(Poster(ALLOWED, timeout_s=5.0)) as poster:
            return await poster.post(url, b"{}", identity="i", secrets=[SECRET], now=datetime.now(UTC))

    assert asyncio.run(run()).fault == "not-connected"


def test_a_connection_is_not_opened_to_an_address_inside() -> None:
    """Not even for a handshake: an open and a closed port must look the same."""

    async def run() -> tuple[Attempt, int]:
        opened = 0

        def count(*_: object) -> None:
            nonlocal opened
            opened += 1

        server = await asyncio.start_server(count, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with aclosing(Poster((), timeout_s=2.0)) as poster:
            found = await poster.post(url, json.dumps({}).encode(), identity="i", secrets=[SECRET], now=datetime.now(UTC))
        server.close()
        return found, opened

    found, opened = asyncio.run(run())
    assert (found.fault, opened) == ("forbidden-address", 0)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0x7f.1"])
def test_a_name_is_judged_by_what_it_resolves_to(host: str) -> None:
    async def run() -> Attempt:
        async with aclosing(Poster((), timeout_s=5.0)) as poster:
            return await poster.post(f"https://{host}:9/", b"{}", identity="i", secrets=[SECRET], now=datetime.now(UTC))

    assert asyncio.run(run()).fault == "forbidden-address"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0", "0177.0.0.1"])
def test_an_odd_spelling_of_an_address_that_was_not_made_plain_is_no_name(host: str) -> None:
    """Endpoints' URLs are made plain when they are saved."""

    async def run() -> Attempt:
        async with aclosing(Poster(ALLOWED, timeout_s=5.0)) as poster:
            return await poster.post(f"https://{host}:9/", b"{}", identity="i", secrets=[SECRET], now=datetime.now(UTC))

    assert asyncio.run(run()).fault == "name-not-resolved"


def test_of_a_name_with_addresses_of_both_kinds_only_the_permitted_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[Attempt, int, int]:
        opened: list[object] = []
        async with receiver() as there:
            port = urlsplit(there.url).port
            inside = await asyncio.start_server(lambda reader, _: opened.append(reader), "127.0.0.2", port)
            loop = asyncio.get_running_loop()
            resolve = loop.getaddrinfo

            async def both(name: str | None, port: Any, **how: Any) -> Any:
                if name != "hooks.example":
                    return await resolve(name, port, **how)
                return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

            monkeypatch.setattr(loop, "getaddrinfo", both, raising=False)
            url = there.url.replace("127.0.0.1", "hooks.example")
            async with inside, aclosing(Poster((ip_network("127.0.0.1/32"),), timeout_s=5.0)) as poster:
                found = await poster.post(url, b"{}", identity="i", secrets=[SECRET], now=datetime.now(UTC))
            return found, len(there.received), len(opened)

    found, permitted, forbidden = asyncio.run(run())
    assert (found.succeeded, permitted, forbidden) == (True, 1, 0)


def test_tls_and_host_name_the_endpoint_though_the_connection_is_made_to_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server_tls, client_tls = contexts_for("hooks.example", tmp_path)
    names: list[str | None] = []
    server_tls.sni_callback = lambda _socket, name, _context: names.append(name)

    async def run(host: str) -> tuple[Attempt, list[str]]:
        async with receiver(ssl=server_tls) as there:
            loop = asyncio.get_running_loop()
            resolve = loop.getaddrinfo

            async def here(name: str | None, port: Any, **how: Any) -> Any:
                return await resolve("127.0.0.1" if name == host else name, port, **how)

            monkeypatch.setattr(loop, "getaddrinfo", here, raising=False)
            url = there.url.replace("127.0.0.1", host)
            async with aclosing(Poster(ALLOWED, timeout_s=5.0, tls=client_tls)) as poster:
                found = await poster.post(url, b"{}", identity="i", secrets=[SECRET], now=datetime.now(UTC))
            return found, [one.headers["host"].split(":")[0] for one in there.received]

    found, hosts = asyncio.run(run("hooks.example"))
    assert (found.succeeded, hosts, names) == (True, ["hooks.example"], ["hooks.example"])
    found, hosts = asyncio.run(run("other.example"))  # whose certificate this is not
    assert (found.fault, hosts) == ("tls", [])


def contexts_for(host: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for `host`, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "certificate.pem"))
