"""SEC Schedules 13D and 13G: who beneficially owns over five per cent of a class of shares. One XML document a filing."""

from neutrality.registers.sec13.conversion import Sec13Connector

__all__ = ["Sec13Connector"]
