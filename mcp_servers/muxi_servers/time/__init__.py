"""The `time` server: clocks, zones and dates."""
