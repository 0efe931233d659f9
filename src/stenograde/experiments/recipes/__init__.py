"""The recipes that ship, as TOML, and how one is read."""
