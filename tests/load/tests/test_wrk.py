"""The results of wrk's scripts are parsed."""

import math

import pytest
from goticket_load import wrk
from goticket_load.wrk import Load, WrkFailed, WrkMissing

OUTPUT = """Running 2s test @ http://127.0.0.1:8080
  1 threads and 64 connections
RESULTS {"seconds":2.0,"requests":130,"connection_errors":1,"timeouts":2,"p50":4.5,"p99":90.0,\
"responses":{"book 201":100,"book 409":20,"book 503":10},\
"latencies":{"book 201 311":98,"book 201 389":2},\
"timeline":{"book 201 0":60,"book 201 2":40,"book 409 3":20},"invalid":{"Age":3}}
"""


def test_responses_are_counted_by_kind_and_status() -> None:
    result = wrk.parse(OUTPUT)
    assert result.count("book", 201) == 100
    assert result.count(status=503) == 10
    assert result.count() == 130
    assert result.per_second("book", 201) == 50
    assert result.counts_by_name() == {"book 201": 100, "book 409": 20, "book 503": 10}
    assert (result.connection_errors, result.timeouts) == (1, 2)
    assert result.invalid == {"Age": 3}


def test_a_percentile_is_the_upper_bound_of_its_bucket() -> None:
    result = wrk.parse(OUTPUT)
    assert result.percentile_ms("book", 201, 50) == pytest.approx(1.03**312 / 1000)
    assert result.percentile_ms("book", 201, 99) == pytest.approx(1.03**390 / 1000)
    assert math.isnan(result.percentile_ms("book", 409, 50))


def test_the_timeline_has_zeros_for_slots_without_responses() -> None:
    result = wrk.parse(OUTPUT)
    booked = [rate for _, rate in result.rates("book", 201)]
    rejected = [rate for _, rate in result.rates("book", 409)]
    assert booked == pytest.approx([600, 0, 400, 0])
    assert rejected == pytest.approx([0, 0, 0, 200])


def test_the_steady_rate_excludes_the_first_seconds() -> None:
    result = wrk.parse(OUTPUT)
    assert result.steady_per_second("book", 201, skip_seconds=0.1) == pytest.approx(40 / 1.9)
    assert math.isnan(result.steady_per_second("book", 201, skip_seconds=2))


def test_output_without_results_is_an_error_that_shows_the_output() -> None:
    with pytest.raises(WrkFailed, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:8080 Connection refused\n")


def test_without_wrk_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(WrkMissing) as error:
        wrk.begin(Load("book", 1, 1), "http://127.0.0.1:1")
    assert "apt-get install wrk" in str(error.value)
