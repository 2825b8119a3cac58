"""`python -m muxi_runtime`: the command `muxi-runtime`, for where its script is not on the path."""

from __future__ import annotations

from muxi_runtime.cli.main import main

if __name__ == "__main__":
    main()
