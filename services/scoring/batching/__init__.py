"""The batch path under Faust: what replaces its per-message path, its offset tracking and its per-record sends.

Design. One message in Faust is one *batch*: all records that one fetch returned for one partition (`scheduler`). The consumer
thread notes which range of offsets each fetch covers (`consumer`), the ledger admits ranges only without holes between them
and says what may be committed (`ledger`), the producer writes whole record batches and returns when Kafka has them (`producer`),
and the transport names the two (`transport`). The table's store keeps vertices per partition (`store`). Faust keeps what it does well:
membership, assignment, the changelog's recovery.
"""
