"""E-mail addresses: the one form in which an address is stored, compared and mailed to."""

from email_validator import EmailNotValidError, validate_email
from goticket_kernel.text import InvalidText, TextRule

# The library limits the parts of an address (RFC 5321, 4.5.3.1). This limits what it reads.
_TYPED = TextRule(320)


def parse_email_address(text: str) -> str:
    """Return an address in lower case, with its domain in A-labels.

    Spaces around it do not count. An internationalized domain has one form however it is typed
    (RFC 5890; UTS #46 maps its letters): `Ann@B\u00dcCHER.example` is
    `ann@xn--bcher-kva.example`, which every mail server accepts. The part before the @ is ASCII:
    SMTPUTF8 (RFC 6531) fails if any server on the way to a mailbox lacks it. Its case does not
    count, as with all large providers, although RFC 5321, 2.4 lets a server distinguish it.

    Raises:
        InvalidText: no such address can be mailed to; the message says why.
    """
    typed = _TYPED.prepare(text)
    try:
        # test_environment: names under .test (RFC 6761, 6.2) have mailboxes of tests.
        found = validate_email(
            typed,
            allow_smtputf8=False,
            check_deliverability=False,
            strict=True,
            test_environment=True,
        )
    except EmailNotValidError as error:
        raise InvalidText(f"is not an e-mail address. {_sentence(error)}") from None
    if found.ascii_email is None:
        raise InvalidText("is not an e-mail address that every mail server accepts")
    return found.ascii_email.lower()


def _sentence(error: EmailNotValidError) -> str:
    text = str(error)
    if "IDNA" in text:  # a message about code points, for programmers
        text = "The part after the @-sign is not a domain name."
    return text.replace("email address", "address").removesuffix(".")
