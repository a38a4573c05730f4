"""Write `jars.toml` anew: `python -m neutrality.broker.embedded.pin`. Needs the network; run after changing a version.

Kafka's closure is resolved by jgo from Kafka's POM alone. The binding from SLF4J to Log4j, which Kafka's POM leaves to its
users, is added by hand in the version of the log4j-core found there: given to the resolver as a second root, its parent's
dependencyManagement would override Kafka's own versions (kafka-clients became 3.9.1).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from jgo.maven import Artifact, MavenContext, PythonResolver

from neutrality.broker.embedded.jars import LOCK_FILE_NAME, sha256_of

KAFKA_VERSION = "4.3.1"
SCALA_VERSION = "2.13"


def render_lock() -> str:
    """Resolve, download and hash everything, and give the text of the lock file."""
    with tempfile.TemporaryDirectory(prefix="kafka-lock-") as folder:
        context = MavenContext(resolver=PythonResolver(), repo_cache=Path(folder))
        kafka = context.create_dependency(f"org.apache.kafka:kafka_{SCALA_VERSION}:{KAFKA_VERSION}")
        roots, closure = context.resolver.resolve([kafka])
        artifacts = [dependency.artifact for dependency in roots + closure]
        log4j_version = next(artifact.version for artifact in artifacts if artifact.artifactId == "log4j-core")
        binding = context.project("org.apache.logging.log4j", "log4j-slf4j-impl").at_version(log4j_version).artifact()
        entries = "\n".join(_entry(artifact) for artifact in [*artifacts, binding])
    header = "# Written by `python -m neutrality.broker.embedded.pin`. Do not edit: every start checks these.\n"
    return f'{header}kafka = "{KAFKA_VERSION}"\n\n{entries}'


def _entry(artifact: Artifact) -> str:
    if artifact.classifier or artifact.packaging != "jar":
        raise ValueError(f"{artifact}: the lock file knows plain jars only")
    path = artifact.resolve()
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return f'[[jar]]\ncoordinate = "{coordinate}"\nsize = {path.stat().st_size}\nsha256 = "{sha256_of(path)}"\n'


if __name__ == "__main__":
    Path(__file__).with_name(LOCK_FILE_NAME).write_text(render_lock(), encoding="utf-8")
