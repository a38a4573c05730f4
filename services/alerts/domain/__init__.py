"""Who is told what, and why. Pure: no Kafka, no HTTP, no database, no clock."""
