"""Tasks that survive a restart of the runtime."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of kept tasks."""
    op.create_table(
        "kept_tasks",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("key", sa.String(16)),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("selector", sa.Text()),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("kept_at", sa.String(27), nullable=False),
        sa.Column("sandboxes", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.Text()),
    )
