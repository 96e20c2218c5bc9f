"""What an account may look like."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.domain.account_rules import email_problems, name_problems, password_problems
from identity.domain.errors import InvalidAccount
from identity.domain.user import Role, open_account

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
def test_an_address_that_mail_servers_deliver_to_is_accepted(email: str) -> None:
    assert email_problems(email) == []


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
def test_anything_else_is_not_an_address(email: str) -> None:
    assert email_problems(email)


@given(st.emails())
def test_no_accepted_address_changes_meaning_when_lowered_twice(email: str) -> None:
    if not email_problems(email):
        assert email.lower().lower() == email.lower()
        assert email_problems(email.lower()) == []


@given(st.text(max_size=100))
def test_an_accepted_password_is_8_to_72_bytes_without_nul(password: str) -> None:
    size = len(password.encode("utf-8", "surrogatepass"))
    accepted = 8 <= size <= 72 and "\0" not in password
    assert (password_problems(password) == []) == accepted


def test_password_length_is_counted_in_bytes_as_bcrypt_counts_it() -> None:
    assert password_problems("🎸" * 18) == []
    assert password_problems("🎸" * 18 + "x")
    assert password_problems("éééé") == []


@pytest.mark.parametrize("name", ["A", "Ada Lovelace", "李小龍", "👩‍👩‍👧", "x" * 200, "  Ada  "])
def test_a_printable_name_is_accepted(name: str) -> None:
    assert name_problems(name) == []


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 201, "A\0da", "Ada\r\nBcc: all", "Ada\u2028", "\x7f"]
)
def test_an_empty_long_or_unprintable_name_is_refused(name: str) -> None:
    assert name_problems(name)


def test_everything_wrong_with_an_account_is_said_at_once() -> None:
    with pytest.raises(InvalidAccount) as refused:
        open_account(user_id=USER_ID, email="nobody", password="short", name="", now=NOW)
    assert [problem.field for problem in refused.value.fields] == ["email", "password", "name"]
    assert "short" not in str(refused.value)


def test_a_new_account_has_a_lower_case_address_and_the_role_user() -> None:
    opened = open_account(
        user_id=USER_ID,
        email="Ada@GoTicket.Example",
        password="long enough",
        name=" Ada ",
        now=NOW,
    )
    assert opened.user.email == "ada@goticket.example"
    assert opened.user.name == "Ada"
    assert opened.user.roles == {Role.USER}
    assert opened.user.version == 1
    assert opened.occurred_at == NOW
