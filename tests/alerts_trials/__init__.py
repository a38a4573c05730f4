"""Trials of alerts under load: many subscriptions, broken endpoints beside healthy ones, and kills."""
