"""`python -m services.scoring`."""

import sys

from services.scoring.main import main

if __name__ == "__main__":
    sys.exit(main())
