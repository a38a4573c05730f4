"""The services of Neutrality Watch; each knows nothing of the others and meets them only on Kafka."""
