"""Where the command keeps what it needs between runs."""

from pathlib import Path

import platformdirs


def cache_folder(name: str) -> Path:
    """`~/.cache/neutrality-watch/NAME`, or its like on this system. Not created here."""
    return Path(platformdirs.user_cache_dir("neutrality-watch", appauthor=False)) / name
