"""Alerts: tells subscribed labs when a vendor's neutrality changes.

`domain` decides (pure), `intake` commits what was decided with the offset it came from, `delivery` works off the outbox to Kafka, `http`
serves subscriptions, alerts and their stream; `main` puts them together.
"""
