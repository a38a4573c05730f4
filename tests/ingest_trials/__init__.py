"""Ingest with mishaps under load, on a real Kafka: `python -m tests.ingest_trials`.

One trial, drawn from its seed: events go to one ingest in three ways at once (single requests over several connections, batches, lines through
`neutrality.client`), and what has no answer is sent again. On the way ingest or Kafka or both get SIGKILL and are started again (`trial`). At the
end the topics are read as scoring reads them (`verdict`): everything answered 202 is there, every event was delivered in the end, nothing has
another content than was sent, nothing is invalid, and the model makes of the topics what it makes of the events themselves.
"""
