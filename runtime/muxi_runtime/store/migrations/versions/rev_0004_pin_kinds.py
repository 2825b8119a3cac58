"""Pins of prompts and resource templates beside those of tools."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table anew, with a kind in its key; SQLite cannot change a key. What is there are tools."""
    op.create_table(
        "pins_with_kinds",
        sa.Column("server", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("tool", sa.Text(), primary_key=True),
        sa.Column("state", sa.String(8), primary_key=True),
        sa.Column("pin", sa.String(64), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
    )
    op.execute(
        "INSERT INTO pins_with_kinds (kind, server, tool, state, pin, identity, definition, at) "
        "SELECT 'tool', server, tool, state, pin, identity, definition, at FROM pins"
    )
    op.drop_table("pins")
    op.rename_table("pins_with_kinds", "pins")
