from __future__ import annotations

import os
from threading import Lock, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.kit.errors import FrameError
from muxi_servers.kit.frames import FrameReader, FrameWriter, write_all

LINES = st.binary(min_size=1, max_size=200).map(lambda data: data.replace(b"\n", b"x").strip(b" \t\r") or b"x")


def read_all(data: bytes, limit: int = 1_000) -> list[bytes | str]:
    source, sink = os.pipe()

    def feed() -> None:
        write_all(sink, data)
        os.close(sink)

    feeder = Thread(target=feed)
    feeder.start()
    reader = FrameReader(source, limit)
    found: list[bytes | str] = []
    while True:
        try:
            line = reader.read()
        except FrameError as error:
            found.append(str(error))
            continue
        if line is None:
            break
        found.append(line)
    feeder.join()
    os.close(source)
    return found


@given(st.lists(LINES, max_size=20))
def test_lines_come_one_by_one_whatever_the_pieces(lines: list[bytes]) -> None:
    assert read_all(b"".join(line + b"\n" for line in lines)) == lines


def test_empty_lines_and_carriage_returns_are_left_out() -> None:
    assert read_all(b"\n\r\na\r\n\n b \n") == [b"a", b"b"]


def test_a_last_line_without_its_end_is_no_frame() -> None:
    assert read_all(b"whole\ncut off") == [b"whole"]


@pytest.mark.parametrize("size", [1_001, 70_000, 1_000_000])
def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(size: int) -> None:
    assert read_all(b"a\n" + b"x" * size + b"\nb\n") == [b"a", "the message is longer than 1000 bytes", b"b"]


def test_a_line_that_never_ends_is_refused_without_being_held() -> None:
    assert read_all(b"x" * 500_000) == ["the message is longer than 1000 bytes"]


def test_frames_of_several_threads_are_never_mixed() -> None:
    source, sink = os.pipe()
    writer = FrameWriter(sink, Lock())
    frames = [bytes([65 + index]) * 20_000 for index in range(8)]
    threads = [Thread(target=writer.write, args=(frame,)) for frame in frames]
    for thread in threads:
        thread.start()
    reader = FrameReader(source)
    assert sorted(reader.read() or b"" for _ in frames) == frames
    for thread in threads:
        thread.join()
    os.close(source)
    os.close(sink)


def test_a_reader_that_is_gone_is_no_error() -> None:
    source, sink = os.pipe()
    os.close(source)
    writer = FrameWriter(sink, Lock())
    writer.write(b"one")
    writer.write(b"two")
    os.close(sink)
