"""The text of amounts."""

import pytest
from goticket_documents.money import Money, price_text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (25000, "EUR", "EUR 250.00"),
        (5, "USD", "USD 0.05"),
        (123456789, "PLN", "PLN 1,234,567.89"),
        (9800, "JPY", "JPY 9,800"),
        (1234567, "BHD", "BHD 1,234.567"),
        (12345, "CLF", "CLF 1.2345"),
        (-250, "EUR", "EUR -2.50"),
        (100, "XYZ", "XYZ 1.00"),
    ],
)
def test_an_amount_has_as_many_decimals_as_its_currency(
    amount: int, currency: str, text: str
) -> None:
    assert str(Money(amount, currency)) == text


def test_a_price_of_zero_is_free() -> None:
    assert price_text(Money(0, "EUR")) == "Free"
    assert price_text(Money(1, "EUR")) == "EUR 0.01"


def test_a_line_costs_its_quantity_times_its_price() -> None:
    assert Money(333, "EUR").times(3) == Money(999, "EUR")
