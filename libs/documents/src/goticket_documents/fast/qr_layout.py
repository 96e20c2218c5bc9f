"""QR symbols of alphanumeric codes of one length, at a tenth of segno's CPU time.

All symbols of one size have the same layout: each module shows a bit of the data, a bit of the
error correction, or a constant. `Layout` computes this once with segno's own functions. A
symbol then takes a few table look-ups.
"""

from functools import reduce
from itertools import chain, zip_longest
from operator import itemgetter, xor
from typing import Any

import segno
import segno.consts
import segno.encoder

# segno's internal modules have no type annotations.
_PARTS: Any = segno.encoder
_TABLES: Any = segno.consts
_ALPHABET: str = _TABLES.ALPHANUMERIC_CHARS.decode("ascii")
_MODE_BITS, _TERMINATOR_BITS = 4, 4
_PAIR_BITS, _SINGLE_BITS = 11, 6
_LIGHT_AND_DARK = 0b01
_PADDING = (0xEC, 0x11)
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_PAIRS = {
    first + second: _VALUES[first] * len(_ALPHABET) + _VALUES[second]
    for first in _ALPHABET
    for second in _ALPHABET
}
_DIGITS_TO_MODULES = bytes.maketrans(b"01", b"\x00\x01")
_FREE = 2
"""segno's mark of modules that belong to the message."""


def has_layout(code: str) -> bool:
    """Whether a `Layout` can draw the code: it has the characters of the alphanumeric mode."""
    return _VALUES.keys() >= set(code) and not code.isdigit()


class Layout:
    """The layout of the symbols of alphanumeric codes of one length.

    It is derived from segno's symbol for a sample code, of error correction `level` or better.
    Section numbers in this module refer to ISO/IEC 18004:2015.
    """

    def __init__(self, length: int, level: str, mask: int) -> None:
        sample = "A" * length
        symbol = segno.make_qr(sample, error=level, mask=mask)
        version = int(symbol.version)
        blocks = _TABLES.ECC[version][_TABLES.ERROR_MAPPING[symbol.error]]
        self._size = len(symbol.matrix)
        self._blocks = [block.num_data for block in blocks for _ in range(block.num_blocks)]
        error_bytes: int = blocks[0].num_total - blocks[0].num_data
        self._error_bits = error_bytes * 8
        self._parity = _parity_tables(error_bytes, max(self._blocks))
        lengths = _TABLES.CHAR_COUNT_INDICATOR_LENGTH[_TABLES.MODE_ALPHANUMERIC]
        count_bits: int = lengths[_PARTS.version_range(version)]
        self._head = _TABLES.MODE_ALPHANUMERIC << count_bits | length
        head_bits = _MODE_BITS + count_bits
        self._data_bytes = sum(self._blocks)
        self._tail_bits = self._data_bytes * 8 - head_bits - _code_bits(length)
        self._tail = _tail(self._tail_bits)
        self._message_bits = (self._data_bytes + error_bytes * len(self._blocks)) * 8
        self._digits = f"0{self._message_bits + 2}b"
        codewords = _interleaved(self._blocks, error_bytes)
        self._analyse(sample, symbol, _places(version, codewords))

    def _analyse(self, sample: str, symbol: segno.QRCode, places: list[int | None]) -> None:
        """Separate the modules that depend on the code from the constant ones; find the mask."""
        modules = bytes(chain.from_iterable(symbol.matrix))
        # Two bits after the message stand for modules that are always light or always dark.
        order = [
            self._message_bits + module if place is None else place
            for place, module in zip(places, modules, strict=True)
        ]
        self._modules = itemgetter(*order)
        self._mask = _LIGHT_AND_DARK
        unmasked = self._draw(self._message(sample) << 2 | _LIGHT_AND_DARK)
        for place, module, bit in zip(order, modules, unmasked, strict=True):
            if module != bit:
                self._mask |= 1 << (self._message_bits + 1 - place)

    def rows(self, code: str) -> list[bytes]:
        """Return the symbol's rows of modules, 1 where dark, without the quiet zone."""
        modules = self._draw(self._message(code) << 2 ^ self._mask)
        return [modules[start : start + self._size] for start in range(0, len(modules), self._size)]

    def _draw(self, bits: int) -> bytes:
        """Place the message's bits and the two after it; return all modules."""
        digits = format(bits, self._digits).encode()
        return bytes(self._modules(digits)).translate(_DIGITS_TO_MODULES)

    def _message(self, code: str) -> int:
        """Return the data, followed by the error correction of each block."""
        value: int = self._head
        for start in range(0, len(code) - 1, 2):
            value = value << _PAIR_BITS | _PAIRS[code[start : start + 2]]
        if len(code) % 2:
            value = value << _SINGLE_BITS | _VALUES[code[-1]]
        value = value << self._tail_bits | self._tail
        data, start = value.to_bytes(self._data_bytes, "big"), 0
        for length in self._blocks:
            block = data[start : start + length]
            parities = map(list.__getitem__, self._parity[-length:], block)
            parity: int = reduce(xor, parities)
            value = value << self._error_bits | parity
            start += length
        return value


def _code_bits(length: int) -> int:
    return length // 2 * _PAIR_BITS + length % 2 * _SINGLE_BITS


def _tail(bits: int) -> int:
    """Return terminator, zeros up to a whole codeword, and padding (7.4.9 and 7.4.10)."""
    padding = max(0, bits - _TERMINATOR_BITS) // 8
    return int.from_bytes(bytes(_PADDING[number % 2] for number in range(padding)), "big")


def _parity_tables(error_bytes: int, most: int) -> list[list[int]]:
    """Return, for each place in a block of `most` codewords, each codeword's parity.

    Reed-Solomon codes are linear: the parity of a block is the sum of its codewords' parities.
    """
    exponents, logarithms = _TABLES.GALIOS_EXP, _TABLES.GALIOS_LOG
    generator = _TABLES.GEN_POLY[error_bytes]
    last = [0] + [
        int.from_bytes(bytes(exponents[logarithms[value] + power] for power in generator), "big")
        for value in range(1, 256)
    ]
    tables, top = [last], (error_bytes - 1) * 8
    rest = (1 << top) - 1
    while len(tables) < most:
        # A place one further from the end multiplies the parity by x.
        tables.append([(each & rest) << 8 ^ last[each >> top] for each in tables[-1]])
    return tables[::-1]


def _interleaved(blocks: list[int], error_bytes: int) -> list[int]:
    """Return the places of the message's codewords in drawing order (7.6)."""
    places = iter(range(sum(blocks) + error_bytes * len(blocks)))
    data = [[next(places) for _ in range(length)] for length in blocks]
    errors = [[next(places) for _ in range(error_bytes)] for _ in blocks]
    drawn = chain(
        chain.from_iterable(zip_longest(*data)), chain.from_iterable(zip(*errors, strict=True))
    )
    return [place for place in drawn if place is not None]


def _places(version: int, codewords: list[int]) -> list[int | None]:
    """Return which bit of the message each module shows, row by row; None for other modules."""
    size = _PARTS.calc_matrix_size(version)
    matrix = _PARTS.make_matrix(size, size)
    _PARTS.add_finder_patterns(matrix, size, size)
    _PARTS.add_alignment_patterns(matrix, size, size)
    grid = [list(row) for row in matrix]
    taken = _FREE + 1
    bits = [taken + place * 8 + bit for place in codewords for bit in range(8)]
    # Remainder bits (7.6) are the same for all codes.
    bits += [0] * (sum(row.count(_FREE) for row in grid) - len(bits))
    _PARTS.add_codewords(grid, bits, version)
    return [each - taken if each >= taken else None for row in grid for each in row]
