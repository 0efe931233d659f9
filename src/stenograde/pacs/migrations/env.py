"""Alembic's entrance: runs the steps on the connection that :mod:`stenograde.pacs.database` gives."""

from alembic import context

from stenograde.pacs.tables import metadata

# in the transaction of the connection: all steps are made or none
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
