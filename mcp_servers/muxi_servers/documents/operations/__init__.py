"""What the child does for each tool; each module has `run`, from checked arguments to structured content."""
