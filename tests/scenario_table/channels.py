"""A lab that listens on every channel: its Kafka topic, its stream, a webhook and an e-mail address; all real."""

import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import httpx

from neutrality.broker.kafka import KafkaReader, ensure_topics
from neutrality.cli.stack import Stack
from neutrality.events.alert import Alert, parse_alert
from neutrality.topics import DEFAULT_PARTITIONS, alerts_topic
from tests.support.background import Background
from tests.support.mailbox import Mailbox
from tests.support.receiver import receiver
from tests.support.stack import PATIENCE_S, Subscriber

CHANNELS: Final = ("Kafka", "SSE", "webhook", "e-mail")
_ID: Final = re.compile(r"^Alert (al_[0-9a-f]{32}), ", re.MULTILINE)
_CODE: Final = re.compile(r"asked you: ([a-z2-7]{32})\b")


class Listener:
    """Subscribed to some vendors under the name `test`. `close` it."""

    def __init__(self, stack: Stack, lab: str, vendors: list[str], mailbox: Mailbox, servers: Background) -> None:
        self.lab, self._stack, self._mailbox = lab, stack, mailbox
        self._address = f"alerts@{lab}.example"
        self._url = f"{stack.alerts_url}/labs/{lab}"
        self._stream = Subscriber(stack, lab, vendors)
        topic = alerts_topic(lab)
        ensure_topics(stack.bootstrap_servers, [topic], partitions=DEFAULT_PARTITIONS, replication_factor=1)
        self._topic = KafkaReader(stack.bootstrap_servers, (topic.name,), client_id="test-lab")
        self._from_topic: list[str] = []
        self._hook = servers.enter(receiver())
        self._secret: str = self._put("hook", {"url": self._hook.url})["secret"]
        self._put("mail", {"kind": "email", "address": self._address})
        code = self._until(lambda: next((found[1] for mail in self._mails() if (found := _CODE.search(mail))), None))
        httpx.post(f"{self._url}/endpoints/mail/confirmed", json={"code": code}).raise_for_status()

    def close(self) -> None:
        self._stream.close()
        self._topic.close()
        for name in ("hook", "mail"):
            httpx.delete(f"{self._url}/endpoints/{name}").raise_for_status()

    def alerts(self) -> list[Alert]:
        """All that was decided, in order."""
        found = httpx.get(f"{self._url}/alerts", params={"limit": 500}).raise_for_status().json()["alerts"]
        return [parse_alert(json.dumps(one).encode()) for one in found]

    def received(self) -> dict[str, list[str]]:
        """Ids by channel, in the order in which they came."""
        while records := self._topic.poll(timedelta(milliseconds=20)):
            self._from_topic += [parse_alert(record.value or b"").id for record in records]
        return {
            "Kafka": list(self._from_topic),
            "SSE": [alert.id for alert in self._stream.alerts],
            "webhook": [str(one.verified(self._secret)["data"]["id"]) for one in list(self._hook.received)],
            "e-mail": [identity for mail in self._mails() for identity in _ID.findall(mail)],
        }

    def until_told(self, wanted: set[str]) -> None:
        """Every channel has these; fails if one has not in time."""

        def told() -> bool:
            return all(wanted <= set(ids) for ids in self.received().values())

        try:
            self._until(told)
        except TimeoutError as error:
            got = {channel: len(wanted & set(ids)) for channel, ids in self.received().items()}
            raise AssertionError(f"{self.lab}: of {len(wanted)} alerts there came {got}") from error

    def _mails(self) -> list[str]:
        return [mail.text for mail in list(self._mailbox.mails) if mail.recipients == [self._address]]

    def _put(self, name: str, terms: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = httpx.put(f"{self._url}/endpoints/{name}", json=terms).raise_for_status().json()
        return made

    def _until(self, look: Callable[[], Any]) -> Any:
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := look()):
            if time.monotonic() > deadline_s:
                raise TimeoutError
            self._stack.watch()
            time.sleep(0.02)
        return found
