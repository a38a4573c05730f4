"""How a stream is cut into lines: wherever its chunks end, and with a bound on what is held."""

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.lines import Line, LineSplitter

BOUND = 5


def lines(*chunks: bytes) -> list[Line]:
    splitter = LineSplitter(BOUND)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.finish())


def test_lines_are_numbered_from_1_and_blank_ones_are_left_out_but_counted() -> None:
    assert lines(b"a\n\n \t\r\nb\n") == [Line(1, b"a"), Line(4, b"b")]


def test_the_last_line_needs_no_line_feed() -> None:
    assert lines(b"a\nb") == [Line(1, b"a"), Line(2, b"b")]


def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it() -> None:
    assert lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb") == [Line(1, b"a"), Line(2, b"\xef\xbb\xbfb")]


def test_a_line_over_the_bound_is_handed_out_without_its_content_and_the_next_one_is_read() -> None:
    assert lines(b"12345\n123456\nok\n1234567") == [Line(1, b"12345"), Line(2, None), Line(3, b"ok"), Line(4, None)]


def test_of_a_line_without_an_end_no_more_than_the_bound_is_held() -> None:
    splitter = LineSplitter(BOUND)
    for _ in range(1000):
        assert list(splitter.feed(b"xxxx")) == []
        assert len(splitter._begun) <= BOUND
    assert list(splitter.finish()) == [Line(1, None)]


@given(st.lists(st.sampled_from([b"a", b"\n", b"123456", b" ", b"\r\n", b"\xef\xbb\xbf"])), st.data())
def test_where_the_chunks_end_makes_no_difference(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert lines(*chunks) == lines(whole)
