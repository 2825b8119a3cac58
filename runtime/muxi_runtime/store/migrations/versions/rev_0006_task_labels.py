"""What a kept task has seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give kept tasks their labels."""
    op.add_column("kept_tasks", sa.Column("labels", sa.Text()))
