"""Documents of the workspace as Markdown, tables and chunks, and new ones out of Markdown."""
