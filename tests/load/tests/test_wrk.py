"""Reading what wrk's scripts counted."""

import math

import pytest
from goticket_load import wrk
from goticket_load.wrk import Load, NoWrk, WrkFailed

OUTPUT = """Running 2s test @ http://127.0.0.1:8080
  1 threads and 64 connections
TALLY {"seconds":2.0,"requests":130,"broken":1,"timeouts":2,"p50":4.5,"p99":90.0,\
"answers":{"book 201":100,"book 409":20,"book 503":10},\
"latencies":{"book 201 311":98,"book 201 389":2},\
"timeline":{"book 201 0":60,"book 201 2":40,"book 409 3":20}}
"""


def test_answers_are_counted_by_kind_and_status() -> None:
    tally = wrk.parse(OUTPUT)
    assert tally.count("book", 201) == 100
    assert tally.count(status=503) == 10
    assert tally.count() == 130
    assert tally.per_second("book", 201) == 50
    assert tally.statuses() == {"book 201": 100, "book 409": 20, "book 503": 10}
    assert (tally.broken, tally.timeouts) == (1, 2)


def test_a_percentile_is_the_upper_bound_of_its_bucket() -> None:
    tally = wrk.parse(OUTPUT)
    assert tally.percentile_ms("book", 201, 50) == pytest.approx(1.03**312 / 1000)
    assert tally.percentile_ms("book", 201, 99) == pytest.approx(1.03**390 / 1000)
    assert math.isnan(tally.percentile_ms("book", 409, 50))


def test_the_timeline_has_zeros_where_nothing_came() -> None:
    tally = wrk.parse(OUTPUT)
    booked = [rate for _, rate in tally.rates("book", 201)]
    refused = [rate for _, rate in tally.rates("book", 409)]
    assert booked == pytest.approx([600, 0, 400, 0])
    assert refused == pytest.approx([0, 0, 0, 200])


def test_output_without_a_tally_is_a_failure_that_shows_it() -> None:
    with pytest.raises(WrkFailed, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:8080 Connection refused\n")


def test_a_missing_wrk_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoWrk) as refused:
        wrk.begin(Load("book", 1, 1), "http://127.0.0.1:1")
    assert "apt-get install wrk" in str(NoWrk.__doc__)
    assert "apt-get install wrk" in str(refused.value)
