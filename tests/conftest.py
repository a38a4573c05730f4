"""Fixtures for all tests: they are declared in `tests/support`, one subject a file."""

pytest_plugins = [
    "tests.support.browser",
    "tests.support.databases",
    "tests.support.kafka",
    "tests.support.spread",
    "tests.support.stack",
    "tests.support.board",  # last: it stands on the others, which pytest must see first
]
