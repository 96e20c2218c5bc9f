"""Amounts of money, and their text in e-mails and on tickets."""

from dataclasses import dataclass

# ISO 4217 currencies whose minor unit is not a hundredth.
_DECIMALS = {
    currency: decimals
    for decimals, currencies in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for currency in currencies.split()
}


@dataclass(frozen=True)
class Money:
    """An amount in minor units of an ISO 4217 currency."""

    amount: int
    currency: str

    def times(self, quantity: int) -> "Money":
        """Return the price of a quantity."""
        return Money(self.amount * quantity, self.currency)

    def __str__(self) -> str:
        """Return currency code and amount, such as "EUR 1,250.00"."""
        decimals = _DECIMALS.get(self.currency, 2)
        sign = "-" if self.amount < 0 else ""
        whole, fraction = divmod(abs(self.amount), 10**decimals)
        tail = f".{fraction:0{decimals}d}" if decimals else ""
        return f"{self.currency} {sign}{whole:,}{tail}".strip()


def price_text(price: Money) -> str:
    """Return the price as text; zero is "Free"."""
    return str(price) if price.amount else "Free"
