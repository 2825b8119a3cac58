"""From Markdown and rows to files."""
