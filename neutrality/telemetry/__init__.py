"""What every service needs to be run: settings from the environment, structured logs, metric conventions."""
