"""The process that drives Chromium; it alone imports Playwright. The server speaks with it by `link`."""
