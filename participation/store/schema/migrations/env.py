"""Alembic's entry: run the migrations on the connection that `participation.store.schema.migrate` gives."""

from alembic import context

from participation.store.schema.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
