"""What browsers are answered: one file a subject, `web` for what they share."""
