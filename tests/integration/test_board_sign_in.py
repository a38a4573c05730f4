"""Signing in to the board: by a lab's key, which alerts judges, and by OpenID Connect with a provider of its own. All three run as processes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson
import pytest

from neutrality.api_keys import digest_of, token_of
from neutrality.broker.embedded.ports import pick_free_port
from neutrality.labs import LabKey, Labs

KEYS = {lab: token_of(lab[:1].encode() * 32) for lab in ("google", "openai")}
READER = token_of(b"r" * 32)  # Google's too, but it may change nothing
GONE = token_of(b"x" * 32)
NO_KAFKA = "127.0.0.1:9"
PATIENCE_S = 60.0


@dataclass
class Served:
    """Where all of it listens."""

    board: str
    alerts: str
    provider: str
    labs_file: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("board")
    alerts, board, provider = (pick_free_port() for _ in range(3))
    found = Served(
        f"http://127.0.0.1:{board}", f"http://127.0.0.1:{alerts}", f"http://127.0.0.1:{provider}", folder / "labs.json"
    )
    write_labs(found.labs_file, **KEYS, xai=GONE)
    (folder / "keys.json").write_bytes(orjson.dumps({"google": KEYS["google"]}))
    (folder / "secret").write_text("s3cret\n")
    settings = {
        "BOARD_OIDC_CLIENT_SECRET_FILE": str(folder / "secret"),
        "ALERTS_PORT": str(alerts),
        "ALERTS_BOOTSTRAP_SERVERS": NO_KAFKA,
        "ALERTS_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'alerts.db'}",
        "ALERTS_API_KEYS_FILE": str(found.labs_file),
        "BOARD_PORT": str(board),
        "BOARD_BOOTSTRAP_SERVERS": NO_KAFKA,
        "BOARD_ALERTS_URL": found.alerts,
        "BOARD_SECRETS_KEY_FILE": str(folder / "board.key"),
        "BOARD_PUBLIC_URL": found.board,
        "BOARD_OIDC_ISSUER": found.provider,
        "BOARD_OIDC_CLIENT_ID": "board",
        "BOARD_LAB_KEYS_FILE": str(folder / "keys.json"),
        "BOARD_KEY_CHECK_S": "0.5",
    }
    people = [orjson.dumps({"sub": who, **claims}).decode() for who, claims in PEOPLE.items()]
    commands = [
        [sys.executable, "-m", "services.alerts"],
        [sys.executable, "-m", "services.board"],
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(provider), "--require-nonce", "true"]
        + [part for person in people for part in ("--user-claims", person)],
    ]
    processes = [
        subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        for address in (
            f"{found.alerts}/health/live",
            f"{found.board}/health/live",
            f"{found.provider}/.well-known/openid-configuration",
        ):
            await_answer(address)
        yield found
    finally:
        for process in processes:
            process.kill()  # they wait for a Kafka that is not there
        for process in processes:
            process.wait(20)


PEOPLE = {
    "ada": {"lab": "google", "email": "ada@google.example"},
    "bob": {"lab": "openai", "email": "bob@openai.example"},
    "eve": {"lab": "../google"},
    "zoe": {},
}


def write_labs(path: Path, **tokens: str) -> None:
    since = datetime.now(UTC) - timedelta(days=1)
    labs: dict[str, tuple[LabKey, ...]] = {
        lab: (LabKey(id=f"of-{lab}", sha256=digest_of(token), not_before=since),) for lab, token in tokens.items()
    }
    labs["google"] += (LabKey(id="reader", sha256=digest_of(READER), not_before=since, scopes=("read",)),)
    path.write_text(Labs(labs=labs).model_dump_json())


def await_answer(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx.get(address, timeout=2).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, address
        time.sleep(0.1)


@pytest.fixture
def reader(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.board, headers={"origin": served.board}, timeout=20) as client:
        yield client


def sign_in(reader: httpx.Client, lab: str, key: str) -> httpx.Response:
    return reader.post("/sign-in", data={"lab": lab, "key": key, "next": "/?moved=day"})


def test_a_labs_key_signs_in_and_is_never_shown(reader: httpx.Client) -> None:
    answer = sign_in(reader, "google", KEYS["google"])
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?moved=day"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert KEYS["google"] not in answer.text + str(answer.headers)
    page = reader.get("/")
    assert page.status_code == 200
    assert "as <b>google</b>" in page.text
    assert reader.post("/sign-out").headers["location"] == "/sign-in"
    assert reader.get("/").status_code == 303


@pytest.mark.parametrize(
    ("lab", "key", "told"),
    [
        ("google", KEYS["openai"], "This key is openai&#39;s"),
        ("google", GONE[:-1] + "A", "is not known, or was revoked"),
        ("google", "", "Authorization: Bearer"),
        ("../openai", KEYS["openai"], "Name your lab by its id"),
        ("<b>", KEYS["openai"], "Name your lab by its id"),
    ],
)
def test_no_other_key_signs_in_and_the_reader_is_told_why(reader: httpx.Client, lab: str, key: str, told: str) -> None:
    answer = sign_in(reader, lab, key)
    assert answer.status_code in (403, 422)
    assert told in answer.text
    assert reader.get("/").status_code == 303


def test_a_revoked_key_ends_its_sessions(served: Served, reader: httpx.Client) -> None:
    with httpx.Client(base_url=served.board, headers={"origin": served.board}) as other:
        assert sign_in(other, "xai", GONE).status_code == 303
        write_labs(served.labs_file, **KEYS)
        deadline = time.monotonic() + PATIENCE_S
        while other.get("/").status_code != 303:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert sign_in(reader, "google", KEYS["google"]).status_code == 303
    assert reader.get("/").status_code == 200


def come_by_oidc(served: Served, reader: httpx.Client, who: str) -> httpx.Response:
    """What a browser does: to the provider, its form, and back."""
    begun = reader.get("/oidc/start", params={"next": "/?moved=quarter"})
    assert begun.headers["location"].startswith(served.provider)
    with httpx.Client(timeout=20) as browser:
        authorized = browser.post(begun.headers["location"], data={"sub": who})
    back = authorized.headers["location"]
    assert back.startswith(f"{served.board}/oidc/callback")
    return reader.get(back)


def test_who_comes_by_openid_connect_is_of_the_lab_that_the_provider_names(served: Served, reader: httpx.Client) -> None:
    answer = come_by_oidc(served, reader, "ada")
    assert answer.headers["location"] == "/?moved=quarter"
    page = reader.get("/").text
    assert "as <b>google</b> · ada@google.example" in page


@pytest.mark.parametrize(
    ("who", "told"),
    [("bob", "openai is not taken by alerts"), ("eve", "no claim &#39;lab&#39; with a lab"), ("zoe", "no claim &#39;lab&#39;")],
)
def test_without_a_lab_or_a_key_for_it_nobody_is_let_in(served: Served, reader: httpx.Client, who: str, told: str) -> None:
    answer = come_by_oidc(served, reader, who)
    assert answer.status_code == 403
    assert told in answer.text
    assert reader.get("/").status_code == 303


def test_an_answer_that_was_not_asked_for_here_signs_nobody_in(served: Served, reader: httpx.Client) -> None:
    begun = reader.get("/oidc/start")
    with httpx.Client(timeout=20) as browser:
        back = browser.post(begun.headers["location"], data={"sub": "ada"}).headers["location"]
    other = re.sub(r"state=[^&]+", "state=another", back)
    for address in (other, f"{served.board}/oidc/callback", f"{served.board}/oidc/callback?state=&code=x"):
        assert reader.get(address).status_code == 403
    with httpx.Client(base_url=served.board) as stranger:
        assert stranger.get(back).status_code == 403
    assert reader.get("/").status_code == 303


def test_what_a_lab_tells_is_on_its_own_pages_alone(served: Served, reader: httpx.Client) -> None:
    sign_in(reader, "google", KEYS["google"])
    made = reader.post("/subscriptions", data={"name": "only-googles", "vendors": "scale-ai"})
    assert made.status_code == 303
    terms = {"name": "hook-of-google", "kind": "webhook", "target": "https://hooks.example.com/g", "description": "only-googles"}
    assert "whsec_" in reader.post("/endpoints", data=terms).text
    assert "only-googles" in reader.get("/subscriptions").text
    with httpx.Client(base_url=served.board, headers={"origin": served.board}, timeout=20) as other:
        sign_in(other, "openai", KEYS["openai"])
        pages = [
            other.get(path) for path in ("/", "/alerts", "/silences", "/subscriptions", "/endpoints", "/endpoints/hook-of-google")
        ]
        assert [page.status_code for page in pages] == [200, 200, 200, 200, 200, 404]
        assert not any("only-googles" in page.text for page in pages)
        assert other.post("/subscriptions/only-googles/end").status_code == 404
    assert "only-googles" in reader.get("/subscriptions").text


def test_a_key_that_may_only_read_changes_nothing_and_is_told_so(served: Served, reader: httpx.Client) -> None:
    assert sign_in(reader, "google", READER).status_code == 303
    answer = reader.post("/subscriptions", data={"name": "never"})
    assert answer.status_code == 403
    assert "This key may not manage" in answer.text
    assert "never" not in reader.get("/subscriptions").text
