"""Accepted definitions of tools, and those that wait for a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of pins."""
    op.create_table(
        "pins",
        sa.Column("server", sa.String(32), primary_key=True),
        sa.Column("tool", sa.Text(), primary_key=True),
        sa.Column("state", sa.String(8), primary_key=True),
        sa.Column("pin", sa.String(64), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
    )
