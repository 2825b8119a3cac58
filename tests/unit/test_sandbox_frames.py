from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_sandbox.docker.attach import BrokenStreamError, Demultiplexer, Output
from muxi_sandbox.frames import FrameSplitter, FrameTooLongError

lines = st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=20)
pieces = st.lists(st.tuples(st.sampled_from(Output), st.binary(max_size=50)), max_size=20)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in at), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def engine_stream(parts: list[tuple[Output, bytes]]) -> bytes:
    return b"".join(bytes([output, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for output, data in parts)


@given(lines, st.lists(st.integers(0, 2000), max_size=20))
def test_any_chunking_yields_the_same_frames(frames: list[bytes], at: list[int]) -> None:
    splitter = FrameSplitter(100)
    data = b"".join(frame + b"\n" for frame in frames)
    assert [frame for chunk in cut(data, at) for frame in splitter.feed(chunk)] == [frame for frame in frames if frame]
    assert splitter.pending == 0


@given(st.integers(1, 50), st.lists(st.integers(0, 60), max_size=10))
def test_a_line_passes_up_to_the_limit_in_any_chunking(limit: int, at: list[int]) -> None:
    splitter = FrameSplitter(limit)
    frames = [frame for chunk in cut(b"x" * limit + b"\n", at) for frame in splitter.feed(chunk)]
    assert frames == [b"x" * limit]


@given(st.integers(1, 50), st.lists(st.integers(0, 60), max_size=10), st.booleans())
def test_a_line_over_the_limit_never_passes(limit: int, at: list[int], ends: bool) -> None:  # noqa: FBT001  # generated
    splitter = FrameSplitter(limit)
    data = b"x" * (limit + 1) + (b"\n" if ends else b"")
    with pytest.raises(FrameTooLongError):
        [frame for chunk in cut(data, at) for frame in splitter.feed(chunk)]
    assert splitter.pending <= limit


@given(pieces, st.lists(st.integers(0, 3000), max_size=20))
def test_any_chunking_of_the_engine_s_stream_yields_the_same_output(
    parts: list[tuple[Output, bytes]], at: list[int]
) -> None:
    demultiplexer = Demultiplexer()
    found = {Output.STDOUT: b"", Output.STDERR: b""}
    for chunk in cut(engine_stream(parts), at):
        for output, data in demultiplexer.feed(chunk):
            found[output] += data
    for output in Output:
        assert found[output] == b"".join(data for part, data in parts if part is output)
    assert demultiplexer.is_between_pieces


@given(st.binary(min_size=8, max_size=8).filter(lambda header: header[0] not in (1, 2) or header[1:4] != bytes(3)))
def test_a_header_that_is_none_is_an_error(header: bytes) -> None:
    demultiplexer = Demultiplexer()
    with pytest.raises(BrokenStreamError, match=header.hex()):
        list(demultiplexer.feed(engine_stream([(Output.STDOUT, b"fine")]) + header))


@pytest.mark.promise("bounded-output")
def test_a_piece_of_4_gib_is_not_held() -> None:
    demultiplexer = Demultiplexer()
    header = b"\x01\0\0\0\xff\xff\xff\xff"
    assert list(demultiplexer.feed(header + b"abc")) == [(Output.STDOUT, b"abc")]
    assert list(demultiplexer.feed(b"def")) == [(Output.STDOUT, b"def")]
    assert not demultiplexer.is_between_pieces


def test_a_stream_cut_in_a_header_is_not_between_pieces() -> None:
    demultiplexer = Demultiplexer()
    assert list(demultiplexer.feed(b"\x01\0\0")) == []
    assert not demultiplexer.is_between_pieces
