from __future__ import annotations

from muxi_servers.kit.host import host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.host import Build


def _load() -> Build:
    from muxi_servers.git.server import build  # noqa: PLC0415 - after the zygote has been forked

    return build


if __name__ == "__main__":
    host(_load)
