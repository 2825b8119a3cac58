"""Alembic's entry point: runs the migrations on the connection and in the transaction of `migrate`."""

from __future__ import annotations

from alembic import context

from muxi_runtime.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
)
context.run_migrations()
