"""How the tests are spread over the processes that run them (pytest-xdist, `-n`): the parts that wait for Kafka cost time, not processors.

A file stays in one process, so that what it starts is started once; all that use the one stack of a session are one group, and so are those that
put a load on the machine, of which two at once would slow each other. Those that take longest come first, so that no process is left alone with one
at the end.
"""

from typing import Final

import pytest

LOADS: Final = ("tests/faults/", "tests/integration/test_trials.py")
LONGEST_FIRST: Final = ("faults", "integration", "e2e", "containers", "contract", "packaging", "property")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)  # stable: the order within a file is kept


def _group(item: pytest.Item) -> str:
    if "stack" in getattr(item, "fixturenames", ()):
        return "stack"
    return "loads" if item.nodeid.startswith(LOADS) else item.nodeid.partition("::")[0]


def _rank(item: pytest.Item) -> int:
    folder = item.nodeid.split("/")[1]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
