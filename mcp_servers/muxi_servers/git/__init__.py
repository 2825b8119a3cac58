"""The `git` server: repositories in the workspace, whose own settings and programs are never run."""
