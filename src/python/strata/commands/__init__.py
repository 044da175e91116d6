"""The subcommands of ``strata``: each reads a JSON specification and writes files."""
