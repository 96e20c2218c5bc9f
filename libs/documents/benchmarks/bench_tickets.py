"""Measures the CPU time of tickets in different scripts, as a ratio to Latin.

    .venv/bin/python -m libs.documents.benchmarks.bench_tickets

"event" is the usual case: all tickets of one event, each with a holder that was not drawn
before. "new event" also has a name and a place that were not drawn before. "booking" is ten
tickets of one holder. The least of several rounds is printed, since other work on the machine
only adds to a round.
"""

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from goticket_documents.money import Money
from goticket_documents.ticket_model import PrintableTicket
from goticket_documents.ticket_pdf import render_ticket
from goticket_kernel.time_zones import TimeZone

NOW = datetime(2027, 6, 12, 17, 30, tzinfo=UTC)
CODE_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CODE_LENGTH = 154
LETTERS = {
    "Latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "Latin extended": "ĄĆĘŁŃŚŹŻąćęłńśźżČĎĚŇŘŠŤŮŽčďěňřšťůžĞİŞğış",
    "Cyrillic": "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩабвгдежзиклмнопрстуфхцчшщъыьэюя",
    "Greek": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "Han": "".join(chr(code) for code in range(0x4E00, 0x9F00)),
    "Kana": "".join(chr(code) for code in (*range(0x3042, 0x3094), *range(0x30A2, 0x30F4))),
    "Hangul": "".join(chr(code) for code in range(0xAC00, 0xD7A3)),
    "Thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศสหอฮ",
    "Devanagari": "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "Emoji": "".join(chr(code) for code in range(0x1F600, 0x1F640)),
}
NAME_LENGTH, PLACE_LENGTH = 14, 24


def names(letters: str, length: int) -> Iterator[str]:
    """Return names of two words that were hardly drawn before."""
    chance = random.Random(1)  # noqa: S311 - no secret
    while True:
        letter = chance.choices(letters, k=length - 1)
        yield "".join((*letter[: length // 2], " ", *letter[length // 2 :]))


def ticket(name: str, place: str, holder: str) -> PrintableTicket:
    """Return a ticket with a code that was not drawn before."""
    code = "GT1.7F3A9C01." + "".join(random.choices(CODE_ALPHABET, k=CODE_LENGTH))  # noqa: S311 - no key
    return PrintableTicket(
        id="0198c2f0-7b1e-7c3a-9d55-000000000001",
        code=code,
        booking_reference="0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5f",
        event_name=name,
        place=place,
        zone=TimeZone("Europe/Berlin"),
        starts_at=NOW,
        ends_at=NOW + timedelta(hours=3),
        holder=holder,
        ticket_type="General Admission",
        price=Money(25000, "EUR"),
        numbered=(1, 2),
    )


def milliseconds(make: Callable[[], list[PrintableTicket]], rounds: int) -> float:
    """Return the CPU time of the tickets that `make` returns, the least of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        tickets = make()
        began = time.process_time()
        for each in tickets:
            render_ticket(each, NOW)
        best = min(best, time.process_time() - began)
    return best * 1000


def measure(letters: str, rounds: int) -> tuple[float, float, float]:
    """Return the milliseconds of a ticket of the event, of a new event, and of a booking."""
    name, place = next(names(letters, NAME_LENGTH)), next(names(letters, PLACE_LENGTH))
    holders, places = names(letters, NAME_LENGTH), names(letters, PLACE_LENGTH)
    per_round = 20

    def event() -> list[PrintableTicket]:
        return [ticket(name, place, holder) for holder in itertools.islice(holders, per_round)]

    def new_event() -> list[PrintableTicket]:
        return [ticket(next(holders), next(places), next(holders)) for _ in range(per_round)]

    def booking() -> list[PrintableTicket]:
        holder = next(holders)
        return [replace(ticket(name, place, holder), numbered=(n, 10)) for n in range(1, 11)]

    milliseconds(event, 1)  # loads the fonts
    return (
        milliseconds(event, rounds) / per_round,
        milliseconds(new_event, rounds) / per_round,
        milliseconds(booking, rounds),
    )


def main() -> None:
    """Print a line for each script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    sys.stdout.write("CPU ms, and ÷ Latin      event          new event      booking of ten\n")
    latin = None
    for script, letters in LETTERS.items():
        found = measure(letters, rounds)
        latin = latin or found
        columns = (
            f"{each:7.2f} {each / base:5.2f}" for each, base in zip(found, latin, strict=True)
        )
        sys.stdout.write(f"{script:<20} {'  '.join(columns)}\n")


if __name__ == "__main__":
    main()
