"""People with significant control of UK companies (Companies House): lines of the bulk snapshot, and records of the streaming API."""

from neutrality.registers.psc.conversion import PscConnector

__all__ = ["PscConnector"]
