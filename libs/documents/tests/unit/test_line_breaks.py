"""Where lines break."""

import pytest
from goticket_documents.line_breaks import fitting, wrap
from goticket_documents.shaping import clusters_of
from hypothesis import given
from hypothesis import strategies as st


def wrapped(text: str, room: int) -> list[str]:
    """Break text whose clusters are one unit wide."""
    clusters = clusters_of(text)
    lines = wrap(clusters, [1.0] * len(clusters), room)
    return ["".join(clusters[start:end]) for start, end in lines]


@pytest.mark.parametrize(
    ("text", "room", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one two", 3, ["one", "two"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("ab cdefgh", 4, ["ab", "cdef", "gh"]),
        ("", 3, []),
        ("2027周杰伦演唱会", 5, ["2027周", "杰伦演唱会"]),
        ("ab周杰伦", 3, ["ab周", "杰伦"]),
        ("周杰伦。", 3, ["周杰", "伦。"]),
        ("周杰「伦」", 3, ["周杰", "「伦」"]),
        ("カラオケー", 4, ["カラオ", "ケー"]),
        ("กำแพง", 2, ["กำแ", "พง"]),
        ("김민수 서울", 4, ["김민수", "서울"]),
    ],
)
def test_a_line_breaks_where_a_reader_expects_it(text: str, room: int, lines: list[str]) -> None:
    assert wrapped(text, room) == lines


@given(st.text("ab 周。「é\u0301👨\u200d👩ก", max_size=40), st.integers(1, 10))
def test_no_line_is_wider_than_its_room_and_no_character_is_lost(text: str, room: int) -> None:
    lines = wrapped(text, room)

    assert all(len(clusters_of(line)) <= room for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_truncated_text_keeps_at_least_one_cluster() -> None:
    assert fitting([5.0, 1.0], 0, 3) == 1
    assert fitting([1.0, 1.0, 1.0], 1, 1.5) == 2
