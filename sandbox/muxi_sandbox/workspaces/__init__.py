"""A task's files from the host's side: in, out, listed, and kept as snapshots."""
