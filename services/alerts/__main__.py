"""`python -m services.alerts`."""

from services.alerts.main import main

if __name__ == "__main__":
    raise SystemExit(main())
