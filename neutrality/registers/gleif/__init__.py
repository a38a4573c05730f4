"""GLEIF level 2 data: who consolidates whom in their accounts. XML, JSON, CSV and answers of the REST API."""

from neutrality.registers.gleif.conversion import GleifConnector

__all__ = ["GleifConnector"]
