"""Lists of entity tags, as RFC 9110 writes them."""

import pytest
from gateway.http.etags import entity_tags, is_any, matches_weakly, strong_tags
from hypothesis import given
from hypothesis import strategies as st

OPAQUE = st.text(st.sampled_from("!#aZ0,;*/ÿ~-W"), max_size=5)
TAGS = st.builds('{}"{}"'.format, st.sampled_from(["", "W/"]), OPAQUE)
SPACE = st.text(st.sampled_from(" \t"), max_size=2)


@given(st.lists(st.tuples(SPACE, st.one_of(st.just(""), TAGS), SPACE)))
def test_spaces_and_empty_elements_of_a_list_are_ignored(
    parts: list[tuple[str, str, str]],
) -> None:
    field = ",".join(before + tag + after for before, tag, after in parts)
    assert entity_tags(field) == [tag for _, tag, _ in parts if tag]


@pytest.mark.parametrize(
    "field", ["3", '"3', '3"', '"3" "4"', '"a"b"', 'w/"3"', '"3", 4', '"3", *', '"a b"', "*"]
)
def test_an_invalid_list_has_no_tags(field: str) -> None:
    assert entity_tags(field) == []


def test_a_star_is_valid_only_as_the_whole_field() -> None:
    assert is_any("*")
    assert is_any(" *\t")
    assert not is_any('"*"')
    assert not is_any("**")


def test_weak_tags_match_weakly_and_never_strongly() -> None:
    assert strong_tags('"1", W/"2"') == ['"1"']
    assert matches_weakly('"1", W/"2"', '"2"')
    assert not matches_weakly('"1", W/"2"', '"3"')


@pytest.mark.timeout(10)
@pytest.mark.parametrize("evil", [" " * 60_000 + "x", '"' * 60_000, '"a" ,' * 12_000 + "x"])
def test_a_malicious_field_is_parsed_in_linear_time(evil: str) -> None:
    assert entity_tags(evil) == []
