"""Starts Chromium with its own sandbox on, one context in it, and nothing that it would do for its maker."""

from __future__ import annotations

import os

from playwright.async_api import async_playwright

from muxi_servers.browser.engine.happenings import Happenings
from muxi_servers.browser.engine.local_files import LocalFiles
from muxi_servers.browser.engine.tabs import Tabs
from muxi_servers.browser.engine.way_out import proxy_address
from muxi_servers.kit.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Chromium"]

_PROGRAM = "/usr/bin/chromium"
_NODE = "/usr/bin/node"
_START_MILLISECONDS = 30_000
_VIEWPORT = {"width": 1280, "height": 800}
# Playwright's own list (of version 1.65), which ours replaces, and what would talk to Chromium's maker besides.
_FEATURES_OFF = (
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding"),
    "ThirdPartyStoragePartitioning",
    *("AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled"),
    *("PreconnectToSearch", "AutofillServerCommunication", "CertificateTransparencyComponentUpdater"),
    *("DialMediaRouteProvider", "InterestFeedContentSuggestions", "Translate", "OptimizationGuideModelDownloading"),
)
_FLAGS = (
    "--disable-quic",
    # WebRTC would send UDP past the proxy. There is no way for that, but it shall not try either.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    # There is no DNS in a sandbox: the proxy resolves.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--dns-prefetch-disable",
    "--no-pings",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--safebrowsing-disable-auto-update",
    f"--disable-features={','.join(_FEATURES_OFF)}",
)
# The sandbox's /dev/shm is large enough, unlike its /tmp; and Chromium's own blocker of popups stays on.
_NOT_WANTED = ["--disable-dev-shm-usage", "--disable-popup-blocking"]


class Chromium:
    """One browser. `on_gone` is called when it ends, whatever the reason.

    Attributes:
        context: Playwright's, once started.
        tabs, happenings: of that context.
        blocked: patterns of URLs that are not to be loaded, and how many were not.
    """

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone
        self._playwright: Any = None
        self.context: Any = None
        self.happenings = Happenings()
        self.tabs: Tabs
        self.patterns: list[str] = []
        self.blocked = 0

    async def start(self, options: dict[str, Any]) -> None:
        """`options` has `state`, which `state` once returned, or null.

        Raises:
            playwright.async_api.Error: it did not start. It is never tried without Chromium's own sandbox.
        """
        os.environ["PLAYWRIGHT_NODEJS_PATH"] = _NODE
        os.environ.pop("NODE_OPTIONS", None)  # the image's own, for programs that fetch: the driver does not
        self._playwright = await async_playwright().start()
        browser = await self._playwright.chromium.launch(
            executable_path=_PROGRAM,
            headless=True,
            chromium_sandbox=True,
            args=list(_FLAGS),
            ignore_default_args=_NOT_WANTED,
            proxy={"server": proxy_address()} if proxy_address() else None,
            downloads_path=os.environ["TMPDIR"],
            timeout=_START_MILLISECONDS,
        )
        browser.on("disconnected", lambda _: self._on_gone())
        await LocalFiles(Workspace()).start(browser)
        self.context = await browser.new_context(
            viewport=_VIEWPORT, accept_downloads=True, service_workers="allow", storage_state=options["state"]
        )
        self.tabs = Tabs(self.context, self.happenings)

    async def state(self) -> dict[str, Any]:
        """Cookies and local storage, to start with another time."""
        state: dict[str, Any] = await self.context.storage_state()
        return state

    async def block(self, patterns: list[str]) -> None:
        """Load nothing whose URL fits one of the patterns, in place of those before."""
        for pattern in self.patterns:
            await self.context.unroute(pattern, self._refuse)
        self.patterns = patterns
        for pattern in patterns:
            await self.context.route(pattern, self._refuse)

    async def _refuse(self, route: Any) -> None:  # noqa: ANN401 - Playwright's
        self.blocked += 1
        await route.abort("blockedbyclient")

    async def close(self) -> None:
        """End the driver; whatever of Chromium is left is ended by the keeper of this process."""
        if self._playwright:
            await self._playwright.stop()
