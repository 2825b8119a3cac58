"""The tables of the runtime's database, as SQLAlchemy Core. Migrations make them; queries name them.

Only types that SQLite and Postgres share: times are ISO 8601 text in UTC, which sorts as it reads.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

__all__ = ["approvals", "journal", "kept_tasks", "keys", "metadata", "pins", "secrets", "server_logins", "users"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes a row id only of a column declared INTEGER.
_Sequence = BigInteger().with_variant(Integer(), "sqlite")

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created_at", String(27), nullable=False),
    Column("role", String(16), nullable=False, server_default="user"),
    # Names, a space between them: they are read with the user, and nothing asks for a group's members but people.
    Column("groups", Text, nullable=False, server_default=""),
    Column("state", String(8), nullable=False, server_default="active"),
    # Whose tokens may name this user; none: keys only.
    Column("issuer", Text),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("user", String(64), ForeignKey("users.name"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("expires_at", String(27)),
    Column("revoked_at", String(27)),
    Column("last_used_at", String(27)),
    # A space between them; none: all that the user's role allows.
    Column("scopes", Text),
)

journal = Table(
    "journal",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=False),
    Column("at", String(27), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("principal", Text),
    Column("task", Text),
    Column("call", Text),
    Column("data", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_journal_task", "task"),
    Index("ix_journal_call", "call"),
)

kept_tasks = Table(
    "kept_tasks",
    metadata,
    Column("id", String(64), primary_key=True),
    # No foreign key: the local user is in no table.
    Column("user", String(64), nullable=False),
    Column("key", String(16)),
    Column("client", Text, nullable=False),
    Column("selector", Text),
    Column("created_at", String(27), nullable=False),
    Column("kept_at", String(27), nullable=False),
    Column("sandboxes", Text, nullable=False),
    Column("snapshot", Text),
    Column("labels", Text),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(8), nullable=False),
    # No foreign key: the local user is in no table.
    Column("user", String(64), nullable=False),
    Column("key", String(16)),
    Column("task", String(64), nullable=False),
    Column("place", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("server", String(32), nullable=False),
    Column("tool", Text, nullable=False),
    Column("pin", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("shown", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("wording", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("call", String(32), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("expires_at", String(27)),
    Column("scope", String(8)),
    Column("answered_at", String(27)),
    Column("answered_by", Text, nullable=False),
    Column("how", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Index("ix_approvals_state", "state"),
)

pins = Table(
    "pins",
    metadata,
    Column("server", String(32), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("tool", Text, primary_key=True),
    Column("state", String(8), primary_key=True),
    Column("pin", String(64), nullable=False),
    Column("identity", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("at", String(27), nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("key_id", String(16), nullable=False),
    # Nonce and sealed value, see `vault.cipher`.
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("set_at", String(27), nullable=False),
)

server_logins = Table(
    "server_logins",
    metadata,
    Column("server", String(32), primary_key=True),
    # No foreign key: the local user is in no table.
    Column("user", String(64), primary_key=True),
    Column("key_id", String(16), nullable=False),
    # As above; what is sealed is a JSON document.
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("set_at", String(27), nullable=False),
)
