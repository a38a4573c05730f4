"""Our tests. A package, so that no other of this name, as some distributions bring, comes before it."""
