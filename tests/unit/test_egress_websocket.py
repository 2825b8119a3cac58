"""What a host sends over a WebSocket, however messages are cut into frames and frames into pieces."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from muxi_sandbox.egress.masking import Mask, Texts
from muxi_sandbox.egress.refusal import RefusedConnectionError
from muxi_sandbox.egress.websocket import FRAMES_A_TURN, WHOLE_BYTES, HostFrames, frame

pytestmark = [pytest.mark.anyio, pytest.mark.promise("secrets-do-not-come-back")]

VALUE, STANDS = b"hunter2-hunter2", b"<placeholder>"
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9

payloads = st.lists(st.sampled_from([VALUE, b"hunt", b"er2", b"-", b"x", b"\n", b"\x00"]), max_size=6).map(b"".join)


async def fresh() -> Mask:
    return Mask(Texts({VALUE: STANDS}))


def read(data: bytes) -> list[tuple[int, bool, bytes]]:
    """Frames of a server by the RFC: opcode, whether it is final, payload."""
    found = []
    while data:
        width = {126: 2, 127: 8}.get(data[1], 0)
        size = int.from_bytes(data[2 : 2 + width], "big") if width else data[1]
        payload, rest = data[2 + width : 2 + width + size], data[2 + width + size :]
        assert len(payload) == size
        found.append((data[0] & 15, bool(data[0] & 128), payload))
        data = rest
    return found


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """Put together; control frames stand where they came."""
    whole: list[tuple[int, bytes]] = []
    kind, text = 0, b""
    for opcode, final, payload in read(data):
        if opcode >= CLOSE:
            whole.append((opcode, payload))
            continue
        kind, text = opcode or kind, text + payload
        if final:
            whole.append((kind, text))
            kind, text = 0, b""
    assert not text
    return whole


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def sent(kind: int, parts: Sequence[bytes]) -> bytes:
    """One message in several frames."""
    last = len(parts) - 1
    return b"".join(frame(0 if n else kind, part, final=n == last) for n, part in enumerate(parts))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), payloads, st.lists(st.integers(0, 60), max_size=3))),
    st.lists(st.integers(0, 400)),
    st.lists(st.integers(0, 400), max_size=3),
)
async def test_messages_come_masked_and_whole_however_they_are_cut(
    told: list[tuple[int, bytes, list[int]]], places: list[int], pings: list[int]
) -> None:
    frames = [sent(kind, cut(payload, parts)) for kind, payload, parts in told]
    expected = [(kind, payload.replace(VALUE, STANDS)) for kind, payload, _ in told]
    for number in pings:
        at = min(number, len(frames))
        frames.insert(at, frame(PING, b"p"))
        expected.insert(at, (PING, b"p"))
    reader = HostFrames(fresh)
    out = b"".join([await reader.feed(piece) for piece in cut(b"".join(frames), places)])
    assert messages(out) == expected


async def test_nothing_of_the_value_comes_before_it_is_known_whether_it_is_one() -> None:
    reader, seen = HostFrames(fresh), b""
    for byte in sent(TEXT, [b"key: hunter2-", b"hunter2"]):
        seen += await reader.feed(bytes([byte]))
        assert b"hunt" not in seen
    assert messages(seen) == [(TEXT, b"key: " + STANDS)]


async def test_a_message_that_has_ended_comes_at_once() -> None:
    reader = HostFrames(fresh)
    for word in (b"hunter", b"2", b""):
        assert messages(await reader.feed(frame(TEXT, word))) == [(TEXT, word)]


async def test_a_ping_is_not_held_up_by_a_message_and_is_masked_too() -> None:
    reader = HostFrames(fresh)
    assert read(await reader.feed(frame(TEXT, b"hunt", final=False))) == []
    assert read(await reader.feed(frame(PING, VALUE))) == [(PING, True, STANDS)]
    assert messages(await reader.feed(frame(0, b"ed"))) == [(TEXT, b"hunted")]


@pytest.mark.parametrize("size", [125, 126, 2**16 - 1, 2**16, WHOLE_BYTES * 3])
async def test_long_frames_pass(size: int) -> None:
    reader = HostFrames(fresh)
    data = frame(BINARY, b"\n" * size + VALUE)
    out = b"".join([await reader.feed(data[at : at + 10_000]) for at in range(0, len(data), 10_000)])
    assert messages(out) == [(BINARY, b"\n" * size + STANDS)]
    assert max(len(payload) for _, _, payload in read(out)) <= WHOLE_BYTES + 10_100


async def test_the_values_of_each_message_are_those_of_then() -> None:
    values = [b"first-value", b"second-value"]

    async def mask() -> Mask:
        return Mask(Texts({values[0]: b"*"}))

    reader = HostFrames(mask)
    assert messages(await reader.feed(frame(TEXT, b"first-value"))) == [(TEXT, b"*")]
    values.pop(0)
    assert messages(await reader.feed(frame(TEXT, b"second-value"))) == [(TEXT, b"*")]


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\xc1\x00",  # compressed
        b"\x81\x85",  # as a client sends it
        b"\x83\x00",  # no such kind
        frame(0, b"x"),
        frame(TEXT, b"x", final=False) + frame(TEXT, b"y"),
        frame(PING, b"x", final=False),
        frame(PING, b"x" * 126),
        frame(CLOSE, b"12" + VALUE * 8),
    ],
)
async def test_what_is_no_websocket_or_has_no_room_is_refused(data: bytes) -> None:
    async def longer() -> Mask:
        return Mask(Texts({VALUE: STANDS * 2}))

    with pytest.raises(RefusedConnectionError):
        await HostFrames(longer).feed(data)


@pytest.mark.parametrize("small", [frame(PING, b""), frame(0xA, b""), frame(TEXT, b""), frame(TEXT, b"x")])
async def test_a_flood_of_small_frames_lets_others_have_their_turn(small: bytes) -> None:
    asked = turns = 0

    async def counted() -> Mask:
        nonlocal asked
        asked += 1
        return await fresh()

    async def another() -> None:
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    many = 20 * FRAMES_A_TURN
    async with anyio.create_task_group() as group:
        group.start_soon(another)
        assert await HostFrames(counted).feed(small * many) == small * many
        group.cancel_scope.cancel()
    assert turns >= 19
    assert asked <= 21


async def test_the_values_of_a_control_frame_in_a_flood_are_those_of_its_turn() -> None:
    values: list[bytes] = []

    async def mask() -> Mask | None:
        return Mask(Texts({values[0]: b"*"})) if values else None

    async def rotate() -> None:
        values.append(VALUE)

    reader = HostFrames(mask)
    async with anyio.create_task_group() as group:
        group.start_soon(rotate)
        out = await reader.feed(frame(PING, b"") * 4 * FRAMES_A_TURN + frame(PING, VALUE))
    assert read(out)[-1] == (PING, True, b"*")
