"""Every lab gets what concerns it on every channel, in one order, once: the scenario through the real product."""

import pytest

from neutrality.cli.stack import Stack
from tests.scenario_table.__main__ import DOCUMENT, document
from tests.scenario_table.channels import CHANNELS
from tests.scenario_table.playing import LABS, Played, play
from tests.support.mailbox import Mailbox
from tests.support.stack import World

TABLE = World("table")


@pytest.fixture(scope="module")
def played(stack: Stack, post: Mailbox) -> Played:
    return play(stack, TABLE, post)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_brings_each_alert_of_its_lab_once_and_in_the_order_of_decision(played: Played, channel: str) -> None:
    for lab in LABS:
        decided = [alert.id for _, alert in played.rows[lab]]
        assert decided
        assert played.received[lab][channel] == decided


def test_the_table_in_the_documents_is_what_was_received(played: Played) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(played, TABLE), "run `make scenario-table`"
