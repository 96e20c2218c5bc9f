"""Ticket codes: only genuine ones verify offline."""

import base64
import hashlib
import re
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from booking.adapters.ticket_codes import TicketSigner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from services.booking.tests.conftest import ReadTicketCode

SIGNER = TicketSigner(bytes(range(32)))
TICKET, EVENT = UUID(int=1), UUID(int=2)
CODE = SIGNER.sign(TICKET, EVENT)
ALPHANUMERIC = re.compile(r"[0-9A-Z $%*+\-./:]*")
"""The characters that a QR code stores at 5.5 bits each."""


@given(ticket_id=st.uuids(), event_id=st.uuids())
def test_a_genuine_code_carries_its_ids(
    read_ticket_code: "ReadTicketCode", ticket_id: UUID, event_id: UUID
) -> None:
    [key_id] = SIGNER.public_keys
    code = SIGNER.sign(ticket_id, event_id)
    assert read_ticket_code(code, SIGNER.public_keys) == (ticket_id, event_id, key_id)
    assert code == SIGNER.sign(ticket_id, event_id)


@given(st.uuids(), st.uuids())
def test_other_libraries_read_a_code(ticket_id: UUID, event_id: UUID) -> None:
    [(key_id, key)] = SIGNER.public_keys.items()
    prefix, _, body = SIGNER.sign(ticket_id, event_id).rpartition(".")
    raw = base64.b32decode(body + "=" * (-len(body) % 8))
    assert base64.b32encode(raw).decode().rstrip("=") == body
    assert raw[:32] == ticket_id.bytes + event_id.bytes
    signed = f"GT1.{key_id}.".encode() + raw[:32]
    assert prefix == f"GT1.{key_id}"
    Ed25519PublicKey.from_public_bytes(key).verify(raw[32:], signed)


def test_a_code_is_alphanumeric_and_names_its_key() -> None:
    [(key_id, key)] = SIGNER.public_keys.items()
    assert ALPHANUMERIC.fullmatch(CODE)
    assert len(CODE) == 167
    assert key_id == hashlib.sha256(key).hexdigest()[:8].upper()
    assert CODE.startswith(f"GT1.{key_id}.")


@given(
    position=st.integers(0, len(CODE) - 1),
    char=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567.0a "),
)
def test_no_single_character_can_be_changed(
    read_ticket_code: "ReadTicketCode", position: int, char: str
) -> None:
    changed = CODE[:position] + char + CODE[position + 1 :]
    if changed != CODE:
        assert read_ticket_code(changed, SIGNER.public_keys) is None


def test_another_key_does_not_verify_it(read_ticket_code: "ReadTicketCode") -> None:
    other = TicketSigner(bytes(32))
    [(key_id, _)] = SIGNER.public_keys.items()
    [key] = other.public_keys.values()
    for keys in (other.public_keys, {key_id: key}, {}):
        assert read_ticket_code(CODE, keys) is None


def test_codes_of_a_retired_key_still_verify(read_ticket_code: "ReadTicketCode") -> None:
    [old] = SIGNER.public_keys.values()
    new = TicketSigner(bytes(32), retired=[old])
    assert list(new.public_keys)[1:] == list(SIGNER.public_keys)
    old_claims = read_ticket_code(CODE, new.public_keys)
    new_claims = read_ticket_code(new.sign(uuid4(), EVENT), new.public_keys)
    assert old_claims is not None
    assert old_claims.ticket_id == TICKET
    assert new_claims is not None
    assert new_claims.event_id == EVENT
