"""The `calculator` server: exact arithmetic and algebra, bounded."""
