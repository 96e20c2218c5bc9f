"""Rules for the fields of an account."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.domain.errors import InvalidAccount
from identity.domain.user import Role, register_user
from identity.domain.validation import validate_email, validate_name, validate_password

NOW = datetime(2030, 1, 1, tzinfo=UTC)
USER_ID = UUID(int=1)


@pytest.mark.parametrize(
    "email",
    [
        "ada@goticket.example",
        "Ada.Lovelace+tickets@Mail.GoTicket.Example",
        "a@b.co",
        "x_y-z'q@sub.xn--bcher-kva.example",
        "a" * 64 + "@" + "b" * 63 + ".example",
    ],
)
def test_a_deliverable_address_is_accepted(email: str) -> None:
    assert validate_email(email) == []


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@goticket.example",
        "ada@",
        "ada@localhost",
        "ada@@goticket.example",
        "ada lovelace@goticket.example",
        " ada@goticket.example",
        "ada@goticket.example\n",
        ".ada@goticket.example",
        "ada.@goticket.example",
        "a..b@goticket.example",
        "ada@-goticket.example",
        "ada@goticket-.example",
        "ada@goticket..example",
        "ada@127.0.0.1",
        "ada\0@goticket.example",
        "\u212a@goticket.example",
        "ädä@goticket.example",
        "a" * 65 + "@goticket.example",
        "a@" + "b" * 64 + ".example",
        "a@" + ("b" * 60 + ".") * 5 + "example",
    ],
)
def test_any_other_text_is_rejected_as_an_address(email: str) -> None:
    assert validate_email(email)


@given(st.emails())
def test_an_accepted_address_stays_valid_in_lower_case(email: str) -> None:
    if not validate_email(email):
        assert email.lower().lower() == email.lower()
        assert validate_email(email.lower()) == []


@given(st.text(max_size=100))
def test_an_accepted_password_is_8_to_72_bytes_without_nul(password: str) -> None:
    size = len(password.encode("utf-8", "surrogatepass"))
    accepted = 8 <= size <= 72 and "\0" not in password
    assert (validate_password(password) == []) == accepted


def test_the_length_of_a_password_is_counted_in_bytes() -> None:
    assert validate_password("🎸" * 18) == []
    assert validate_password("🎸" * 18 + "x")
    assert validate_password("éééé") == []


@pytest.mark.parametrize("name", ["A", "Ada Lovelace", "李小龍", "👩‍👩‍👧", "x" * 200, "  Ada  "])
def test_a_printable_name_is_accepted(name: str) -> None:
    assert validate_name(name) == []


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 201, "A\0da", "Ada\r\nBcc: all", "Ada\u2028", "\x7f"]
)
def test_an_empty_long_or_unprintable_name_is_rejected(name: str) -> None:
    assert validate_name(name)


def test_all_invalid_fields_are_reported_together() -> None:
    with pytest.raises(InvalidAccount) as error:
        register_user(user_id=USER_ID, email="nobody", password="short", name="", now=NOW)
    assert [invalid.field for invalid in error.value.fields] == ["email", "password", "name"]
    assert "short" not in str(error.value)


def test_a_new_account_has_a_lower_case_address_and_the_role_user() -> None:
    registered = register_user(
        user_id=USER_ID,
        email="Ada@GoTicket.Example",
        password="long enough",
        name=" Ada ",
        now=NOW,
    )
    assert registered.user.email == "ada@goticket.example"
    assert registered.user.name == "Ada"
    assert registered.user.roles == {Role.USER}
    assert registered.user.version == 1
    assert registered.occurred_at == NOW
