"""`python -m services.board`."""

from services.board.main import main

if __name__ == "__main__":
    raise SystemExit(main())
