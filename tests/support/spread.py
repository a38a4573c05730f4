"""How the tests are spread over the processes that run them (pytest-xdist, `-n`): the parts that wait for Kafka cost time, not processors.

A file stays in one process, so that what it starts is started once; all that use the one stack of a session are one group, and so are those that
put a load on the machine, of which two at once would slow each other. Those that take longest come first, so that no process is left alone with one
at the end. (xdist's own groups, by mark, do not work with pytest 9.2: it sets a node's id, which is derived now.)
"""

from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

STACK: Final = ("tests/e2e/", "tests/faults/test_sigkill.py")
LOADS: Final = ("tests/faults/", "tests/integration/test_trials.py")
LONGEST_FIRST: Final = ("faults", "e2e", "integration", "containers", "contract", "packaging", "property")


class Spread(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "stack" if file.startswith(STACK) else "loads" if file.startswith(LOADS) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread:
    return Spread(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)  # stable: the order within a file is kept


def _rank(item: pytest.Item) -> int:
    folder = item.nodeid.split("/")[1]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
