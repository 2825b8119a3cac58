"""Roles, groups and states of users, and scopes of keys.

The keys that there are keep working. Until now every key could do all that there was over HTTP, so the user `local`,
and a user who is the only one, is the machine's own operator and becomes an owner. Of several, nobody can tell which
one is: each becomes a `user`, who may do what users did, and whoever runs commands on the machine raises one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and make the machine's operator an owner."""
    op.add_column("users", sa.Column("role", sa.String(16), nullable=False, server_default="user"))
    op.add_column("users", sa.Column("groups", sa.Text(), nullable=False, server_default=""))
    op.add_column("users", sa.Column("state", sa.String(8), nullable=False, server_default="active"))
    op.add_column("users", sa.Column("issuer", sa.Text()))
    op.add_column("keys", sa.Column("scopes", sa.Text()))
    op.execute("UPDATE users SET role = 'owner' WHERE name = 'local' OR (SELECT count(*) FROM users) = 1")
