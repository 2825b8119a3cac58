from __future__ import annotations

from muxi_sandbox.docker.reaper import leftover_containers, leftover_volumes


def test_containers_that_no_lease_holds_are_left_over() -> None:
    listed = [
        {"Id": "a", "Names": ["/muxi-x-1"]},
        {"Id": "b", "Names": ["/muxi-x-2"]},
        {"Id": "c", "Names": None},
    ]
    assert leftover_containers(listed, {"muxi-x-1"}) == ["b", "c"]


def test_volumes_that_no_task_holds_are_left_over() -> None:
    assert leftover_volumes([{"Name": "v1"}, {"Name": "v2"}], {"v2"}) == ["v1"]
