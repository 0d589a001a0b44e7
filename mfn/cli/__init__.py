"""The `mfn` command: one module a subcommand."""
