"""Time from a booking to its e-mail, alone and while one account books very much."""

import threading
import time
from datetime import datetime

from goticket_testing.clients import ApiUser

from goticket_load.bench import Bench

FLOOD_BOOKINGS = 120
FLOOD_TICKETS = 10
OTHER_BUYERS = 40
INTERVAL_SECONDS = 0.15
"""Time between two bookings of other buyers."""
ARRIVAL_SECONDS = 60.0
"""The e-mails of the other buyers must arrive within this time."""
FLOOD_NAME = "张伟 حفلة فيروز Łódź"
DURING_FLOOD, ALONE = "e-mail p95 during a flood", "e-mail p95 without a flood"


def email_fairness(bench: Bench) -> None:
    """E-mails of other buyers while one account books 120 times ten tickets in any script."""
    system = bench.system
    processes = ("booking relay", "notification worker")
    system.start(*processes)
    try:
        events = bench.create_events(2)
        _wait_until_sent(bench)
        bench.record_figure(ALONE, _p95(_latencies(bench, events)), " ms")
        flood = threading.Thread(target=_flood, args=(bench, events[0]), daemon=True)
        flood.start()
        bench.record_figure(DURING_FLOOD, _p95(_latencies(bench, events)), " ms")
        flood.join(ARRIVAL_SECONDS)
    finally:
        for process in processes:
            system.stop(process)


def _flood(bench: Bench, event: str) -> None:
    buyer = bench.system.users.create(name=FLOOD_NAME)
    for _ in range(FLOOD_BOOKINGS):
        bench.create_booking(event, buyer, quantity=FLOOD_TICKETS)


def _latencies(bench: Bench, events: tuple[str, ...]) -> list[float]:
    """Book for other buyers, of both events in turn; return the milliseconds to each e-mail."""
    booked: dict[str, float] = {}
    for number in range(OTHER_BUYERS):
        buyer: ApiUser = bench.system.users.create()
        response = bench.create_booking(events[number % len(events)], buyer)
        response.raise_for_status()
        booked[buyer.email] = time.time()
        time.sleep(INTERVAL_SECONDS)
    deadline = time.monotonic() + ARRIVAL_SECONDS
    arrived: dict[str, float] = {}
    while len(arrived) < len(booked) and time.monotonic() < deadline:
        time.sleep(0.5)
        for email in bench.system.mailbox.messages():
            if (address := email["To"][0]["Address"]) in booked:
                arrived[address] = datetime.fromisoformat(email["Created"]).timestamp()
    missing = ARRIVAL_SECONDS * 1000
    return [
        (arrived[address] - at) * 1000 if address in arrived else missing
        for address, at in booked.items()
    ]


def _wait_until_sent(bench: Bench) -> None:
    """Wait until no e-mail of other scenarios is left."""
    left = (
        "SELECT (SELECT count(*) FROM booking.outbox) + (SELECT count(*)"
        " FROM notification.deliveries WHERE status NOT IN ('sent', 'superseded'))"
    )
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while int(bench.system.sql(left)) and time.monotonic() < deadline:
        time.sleep(0.5)


def _p95(latencies: list[float]) -> float:
    return sorted(latencies)[int(len(latencies) * 0.95)]
