"""Ticket codes: genuine ones verify offline, everything else does not."""

import base64
import hashlib
import re
from uuid import UUID, uuid4

import pytest
from booking.adapters.ticket_codes import (
    InvalidTicketCode,
    TicketClaims,
    TicketSigner,
    verify,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

SIGNER = TicketSigner(bytes(range(32)))
TICKET, EVENT = UUID(int=1), UUID(int=2)
CODE = SIGNER.sign(TICKET, EVENT)
ALPHANUMERIC = re.compile(r"[0-9A-Z $%*+\-./:]*")
"""What a QR code stores at 5.5 bits a character."""


@given(st.uuids(), st.uuids())
def test_a_genuine_code_says_what_it_admits_to(ticket_id: UUID, event_id: UUID) -> None:
    [key_id] = SIGNER.public_keys
    code = SIGNER.sign(ticket_id, event_id)
    assert verify(code, SIGNER.public_keys) == TicketClaims(ticket_id, event_id, key_id)
    assert code == SIGNER.sign(ticket_id, event_id)


@given(st.uuids(), st.uuids())
def test_a_code_is_what_other_libraries_read(ticket_id: UUID, event_id: UUID) -> None:
    [(key_id, key)] = SIGNER.public_keys.items()
    prefix, _, body = SIGNER.sign(ticket_id, event_id).rpartition(".")
    raw = base64.b32decode(body + "=" * (-len(body) % 8))
    assert base64.b32encode(raw).decode().rstrip("=") == body
    assert raw[:32] == ticket_id.bytes + event_id.bytes
    signed = f"GT1.{key_id}.".encode() + raw[:32]
    assert prefix == f"GT1.{key_id}"
    Ed25519PublicKey.from_public_bytes(key).verify(raw[32:], signed)


def test_a_code_suits_a_qr_code_and_names_its_key() -> None:
    [(key_id, key)] = SIGNER.public_keys.items()
    assert ALPHANUMERIC.fullmatch(CODE)
    assert len(CODE) == 167
    assert key_id == hashlib.sha256(key).hexdigest()[:8].upper()
    assert CODE.startswith(f"GT1.{key_id}.")


@given(st.integers(0, len(CODE) - 1), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567.0a "))
def test_no_single_character_can_be_changed(position: int, char: str) -> None:
    changed = CODE[:position] + char + CODE[position + 1 :]
    if changed != CODE:
        with pytest.raises(InvalidTicketCode):
            verify(changed, SIGNER.public_keys)


@given(st.text())
def test_no_text_crashes_a_scanner(text: str) -> None:
    with pytest.raises(InvalidTicketCode):
        verify(text, SIGNER.public_keys)
    with pytest.raises(InvalidTicketCode):
        verify(CODE + text if text else CODE[:-1], SIGNER.public_keys)


def test_another_key_does_not_verify_it() -> None:
    other = TicketSigner(bytes(32))
    [(key_id, _)] = SIGNER.public_keys.items()
    [key] = other.public_keys.values()
    for keys in (other.public_keys, {key_id: key}, {}):
        with pytest.raises(InvalidTicketCode):
            verify(CODE, keys)


def test_codes_of_a_retired_key_still_verify() -> None:
    [old] = SIGNER.public_keys.values()
    new = TicketSigner(bytes(32), retired=[old])
    assert list(new.public_keys)[1:] == list(SIGNER.public_keys)
    assert verify(CODE, new.public_keys).ticket_id == TICKET
    assert verify(new.sign(uuid4(), EVENT), new.public_keys).event_id == EVENT
