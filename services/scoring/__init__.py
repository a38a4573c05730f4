"""Scoring: reads claims, keeps a vertex per entity, publishes assessments. `worker.build_app` is the door; `main` runs it."""
