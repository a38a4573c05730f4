"""One simple keyed job on our batch path and on its peers: `python -m benchmarks.throughput`.

The job: read events, keep for each key how many there were and the newest by time, in a table with a changelog in Kafka, and publish the
key's state whenever it changes. `fold` is the job itself, `load` the input and what must come out, `trial` one run of one engine in a process of
its own, `engines` what is run and how it is set, `peers` what has to be installed for them; `batch_path` and `stock_faust` run in the product's
environment, everything under `benchmarks/peers` in its own.

The clock is the same for all: from the moment that the job's code is handed its first event (told by the engine) to the moment that Kafka
appends the last record of the output topic (told by Kafka, LogAppendTime), so start-up is not counted, and waiting for a commit is. Processor time
is all of the engine's process in that span.
"""
