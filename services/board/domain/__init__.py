"""What the pages show, from assessments and events. Pure: no clock, no Kafka, no HTTP."""
