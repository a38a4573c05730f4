"""What is done with records: read them (`intake`), let the entities react, say what came of it (`outcome`). No Kafka, no Faust, no clock."""
