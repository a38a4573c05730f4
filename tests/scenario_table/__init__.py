"""The scenario played into the real product, and what each subscriber was told, on every channel, as a table."""
