"""Logins at servers elsewhere, what they hold encrypted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of logins."""
    op.create_table(
        "server_logins",
        sa.Column("server", sa.String(32), primary_key=True),
        sa.Column("user", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("set_at", sa.String(27), nullable=False),
    )
