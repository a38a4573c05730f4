"""Scoring on the real model, over a real Kafka: `python -m benchmarks.market`.

The load is a market of vendors, owners and labs (`tests.support.market`), written into the real input topics of a fresh embedded Kafka; the
engine is the real process, `python -m services.scoring`, one or two of them. `cases` says what is run and how a row is written, `trial` runs one
case, `reference` says what must come out, `inside` runs the same engine in process without Kafka, to see where the time goes.

The clock: workers are up and hold their partitions; then the whole log arrives at once (its batches are packed beforehand, so that takes a
second), and that is when the clock starts. It ends with the last score or message that scoring writes. So commits on the way are counted, start-up is
not. Only for a rebuild the log is there first, and the clock starts with the process. Processor time is that of
the workers, and of Kafka, in that span; memory is the highest sum of the workers' resident sets.

A result is right if nothing is left to read (messages included), nothing was rejected, and the newest assessment of every vendor is, byte for
byte and but for version and cause, what the runner in process makes of the same events. For large logs only the number of vendors is compared.
"""
