"""Rules for the fields of an account."""

import unicodedata
from datetime import UTC, datetime
from uuid import UUID

import pytest
from goticket_kernel.text import InvalidText
from hypothesis import given
from hypothesis import strategies as st
from identity.adapters.email_addresses import parse_email_address
from identity.domain.errors import InvalidAccount
from identity.domain.user import Role, register_user
from identity.domain.validation import prepare_name, prepare_new_password, prepare_password

NOW = datetime(2030, 1, 1, tzinfo=UTC)
USER_ID = UUID(int=1)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ada@goticket.example", "ada@goticket.example"),
        ("  ada@goticket.example\u00a0", "ada@goticket.example"),
        (
            "Ada.Lovelace+tickets@Mail.GoTicket.Example",
            "ada.lovelace+tickets@mail.goticket.example",
        ),
        ("a@b.co", "a@b.co"),
        ("\u212a@goticket.example", "k@goticket.example"),  # NFC: the Kelvin sign is a K
        ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("Ann@B\u00dcCHER.EXAMPLE", "ann@xn--bcher-kva.example"),
        ("ann@bu\u0308cher.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"),
        ("ann@fa\u00df.example", "ann@xn--fa-hia.example"),  # UTS #46, nontransitional
        ("ann@\u65e5\u672c\u3002example", "ann@xn--wgv71a.example"),
        ("ann@\uff45xample.example", "ann@example.example"),
        ("x_y-z'q@sub.xn--bcher-kva.example", "x_y-z'q@sub.xn--bcher-kva.example"),
        ("a" * 64 + "@" + "b" * 63 + ".example", "a" * 64 + "@" + "b" * 63 + ".example"),
    ],
)
def test_a_deliverable_address_has_one_stored_form(typed: str, stored: str) -> None:
    assert parse_email_address(typed) == stored
    assert parse_email_address(stored) == stored


@pytest.mark.parametrize(
    "email",
    [
        "",
        " ",
        "ada",
        "@goticket.example",
        "ada@",
        "ada@localhost",
        "ada@@goticket.example",
        "ada lovelace@goticket.example",
        "ada@goticket.example\n",
        "ada@goticket.example\r\nBcc: all@goticket.example",
        "Ada <ada@goticket.example>",
        "ada@goticket.example,eve@goticket.example",
        '"ada lovelace"@goticket.example',
        "ada@[127.0.0.1]",
        ".ada@goticket.example",
        "ada.@goticket.example",
        "a..b@goticket.example",
        "ada@-goticket.example",
        "ada@goticket-.example",
        "ada@goticket..example",
        "ada@go_ticket.example",
        "ada@127.0.0.1",
        "ada\0@goticket.example",
        "ada\u200d@goticket.example",
        "ada@goticket\u202e.example",
        "\u00e4d\u00e4@goticket.example",
        "ada@xn--a.example",
        "a" * 65 + "@goticket.example",
        "a@" + "b" * 64 + ".example",
        "a@" + ("b" * 60 + ".") * 5 + "example",
        "a" * 100_000,
        "a@" * 100_000,
    ],
)
def test_any_other_text_is_refused_as_an_address_in_words(email: str) -> None:
    with pytest.raises(InvalidText) as error:
        parse_email_address(email)
    message = str(error.value)
    assert message.startswith(("is ", "must "))
    assert len(message) < 200
    assert not set(message) & set("^$\\{}")


@given(st.emails())
def test_a_stored_address_is_its_own_form_and_ascii(email: str) -> None:
    try:
        stored = parse_email_address(email)
    except InvalidText:
        return
    assert parse_email_address(stored) == stored
    assert parse_email_address(email.swapcase()) == stored
    assert stored.isascii()
    assert len(stored) <= 254


@given(st.text(max_size=200))
def test_a_prepared_password_is_its_own_form(password: str) -> None:
    try:
        prepared = prepare_password(password)
    except InvalidText:
        return
    assert prepare_password(prepared) == prepared
    assert prepare_password(unicodedata.normalize("NFD", password)) == prepared
    assert prepared
    assert prepared.encode()


@pytest.mark.parametrize(
    "password", ["correct horse battery", "\U0001f3b8" * 8, "\u00e9" * 128, "e\u0301" * 128]
)
def test_a_new_password_of_8_to_128_characters_is_accepted(password: str) -> None:
    assert 8 <= len(prepare_new_password(password)) <= 128


@pytest.mark.parametrize(
    "password",
    [
        "",
        "\u00e9" * 7,
        "e\u0301" * 7,
        "x" * 129,
        "e\u0301" * 129,
        "long\0enough",
        "long\nenough",
        "\ue000" * 8,
    ],
)
def test_another_new_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidText):
        prepare_new_password(password)


@pytest.mark.parametrize(
    ("password", "prepared"),
    [  # RFC 8265, table 2, and 4.2.2
        ("correct horse battery staple", "correct horse battery staple"),
        ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
        ("\u03c0\u00df\u00e5", "\u03c0\u00df\u00e5"),
        ("Jack of \u2666s", "Jack of \u2666s"),
        ("foo\u1680bar", "foo bar"),
        ("  two  spaces ", "  two  spaces "),
        ("\uff41", "\uff41"),
    ],
)
def test_a_password_is_prepared_as_an_opaque_string(password: str, prepared: str) -> None:
    assert prepare_password(password) == prepared


@pytest.mark.parametrize("password", ["", "my cat is a \u0009by"])
def test_a_password_that_the_standard_refuses_is_refused(password: str) -> None:
    """RFC 8265, table 3."""
    with pytest.raises(InvalidText):
        prepare_password(password)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("A", "A"),
        ("\u674e\u5c0f\u9f8d", "\u674e\u5c0f\u9f8d"),
        (
            "\U0001f469\u200d\U0001f469\u200d\U0001f467",
            "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        ),
        ("x" * 200, "x" * 200),
        ("  Ada \u00a0 Lovelace ", "Ada Lovelace"),
        ("Zoe\u0308", "Zo\u00eb"),
    ],
)
def test_a_name_is_stored_in_its_form(name: str, stored: str) -> None:
    assert prepare_name(name) == stored


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "\u200b",
        "\u3164",
        "\u2800",
        "x" * 201,
        "A\0da",
        "Ada\r\nBcc: all",
        "Ada\u2028",
        "\x7f",
        "\u202eAda",
    ],
)
def test_a_blank_long_or_unprintable_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidText):
        prepare_name(name)


def test_all_invalid_fields_are_reported_together() -> None:
    with pytest.raises(InvalidAccount) as error:
        register_user(
            user_id=USER_ID,
            email="nobody",
            password="short",
            name="",
            now=NOW,
            parse_email=parse_email_address,
        )
    assert [invalid.field for invalid in error.value.fields] == ["email", "password", "name"]
    assert "short" not in str(error.value)


def test_a_new_account_has_the_stored_forms_and_the_role_user() -> None:
    registration = register_user(
        user_id=USER_ID,
        email="Ada@GoTicket.Example",
        password="long\u00a0enough",
        name=" Ada ",
        now=NOW,
        parse_email=parse_email_address,
    )
    assert registration.password == "long enough"
    registered = registration.registered
    assert registered.user.email == "ada@goticket.example"
    assert registered.user.name == "Ada"
    assert registered.user.roles == {Role.USER}
    assert registered.user.version == 1
    assert registered.occurred_at == NOW
