"""The `neutrality` command: one file a subcommand; `main` puts them together."""
