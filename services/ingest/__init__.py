"""Takes events in over HTTP and writes them to Kafka; an event is acknowledged once all in-sync replicas have it."""
