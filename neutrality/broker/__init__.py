"""The broker as our services see it: small ports (`port`), kafka-python behind them (`kafka`), the same in memory (`memory`).

`embedded` is a real Apache Kafka for machines without Docker and Java.
"""
