"""How the world reaches ingest."""
