"""What the services of Neutrality Watch share: events, the model, the broker port, telemetry, the command line."""
