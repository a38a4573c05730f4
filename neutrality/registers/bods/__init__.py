"""The Beneficial Ownership Data Standard 0.4, in and out. What maps to what, and what is refused: docs/guides/bods.md."""

from neutrality.registers.bods.connector import BodsConnector
from neutrality.registers.bods.export import statements_about

__all__ = ["BodsConnector", "statements_about"]
