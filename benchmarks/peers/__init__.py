"""The job on engines that the product does not use. Each module is a process; they run in `benchmarks/peers/.venv` (pyproject.toml, uv.lock here)."""
