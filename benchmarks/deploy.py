"""Time from `docker compose up --wait` to healthy, memory and image size of each service: `make bench-deploy`. Images are built before."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.support.compose import Compose, require_engine

POLL_S = 0.25
SETTLED_S = 20.0  # after the scenario
MIB = 1024 * 1024
UNITS = {"KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB, "B": 1}


def main() -> int:
    """Print the table."""
    require_engine()
    stack = Compose("neutrality-bench")
    stack.run("build")
    try:
        began = time.monotonic()
        process = subprocess.Popen(
            [
                "docker",
                "compose",
                "--project-name",
                stack.project,
                "--file",
                str(stack.folder / "docker-compose.yml"),
                "up",
                "--wait",
            ],
            env=stack.environment,
            stderr=subprocess.DEVNULL,
        )
        healthy: dict[str, float] = {}
        while process.poll() is None:
            for item in stack.containers():
                if item["Health"] == "healthy":
                    healthy.setdefault(item["Service"], time.monotonic() - began)
            time.sleep(POLL_S)
        whole = time.monotonic() - began
        if process.returncode != 0:
            sys.stderr.write(stack.logs())
            return 1
        stack.neutrality("play", "--strict")
        time.sleep(SETTLED_S)
        memory = _memory(stack)
        print("| service | healthy after | memory | image |\n|---|---|---|---|")
        for service, seconds in sorted(healthy.items(), key=lambda item: item[1]):
            each = memory[service]
            told = f"{each[0]:.0f} MB" + (f" each, {len(each)}" if len(each) > 1 else "")
            print(f"| {service} | {seconds:.1f} s | {told} | {_image_mb(stack, service):.0f} MB |")
        print(f"| all | {whole:.1f} s | {sum(map(sum, memory.values())):.0f} MB | |")
    finally:
        stack.down()
    return 0


def _memory(stack: Compose) -> dict[str, list[float]]:
    """MB of each container, by service."""
    services = {item["Name"]: item["Service"] for item in stack.containers()}
    found: dict[str, list[float]] = {}
    for item in _json_lines("docker", "stats", "--no-stream", "--format", "json"):
        if (service := services.get(item["Name"])) is not None:
            used = item["MemUsage"].split(" / ")[0]
            unit = next(unit for unit in ("KiB", "MiB", "GiB", "B") if used.endswith(unit))
            found.setdefault(service, []).append(float(used.removesuffix(unit)) * UNITS[unit] / 1e6)
    return found


def _image_mb(stack: Compose, service: str) -> float:
    image = next(item["Image"] for item in stack.containers() if item["Service"] == service)
    return int(subprocess.check_output(["docker", "image", "inspect", "--format", "{{.Size}}", image])) / 1e6


def _json_lines(*command: str) -> Iterator[dict[str, Any]]:
    for line in subprocess.check_output(command, text=True).splitlines():
        yield json.loads(line)


if __name__ == "__main__":
    sys.exit(main())
