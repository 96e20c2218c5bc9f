"""QR qr_layout of ticket codes at a tenth of the usual cost, for letters by the thousand.

Codes of one length make qr_layout of one size, in which every module is a bit of the code's
data, a bit of its error correction, or the same for all of them. `Layout` finds out once
which is which, with the library's own parts; a symbol is then a few table look-ups.
"""

from functools import reduce
from itertools import chain, zip_longest
from operator import itemgetter, xor
from typing import Any

import segno
import segno.consts
import segno.encoder

# The library says types only of what makes whole qr_layout.
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
"""How the library marks modules that belong to the message."""


def has_layout(code: str) -> bool:
    """Whether the code is one that a `Layout` draws: of the alphanumeric mode's characters."""
    return _VALUES.keys() >= set(code) and not code.isdigit()


class Layout:
    """What all qr_layout of alphanumeric codes of one length have in common.

    Found out from the library's symbol for one of them, of error correction `level` or
    better. Rules and their numbers are those of ISO/IEC 18004:2015, section 7.
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
        self._learn(sample, symbol, _places(version, codewords))

    def _learn(self, sample: str, symbol: segno.QRCode, places: list[int | None]) -> None:
        """Tell the modules that depend on the code from the others, and find the mask."""
        modules = bytes(chain.from_iterable(symbol.matrix))
        # Two bits behind the message stand for what is always light and always dark.
        order = [
            self._message_bits + module if place is None else place
            for place, module in zip(places, modules, strict=True)
        ]
        self._modules = itemgetter(*order)
        self._mask = _LIGHT_AND_DARK
        unmasked = self._drawn(self._message(sample) << 2 | _LIGHT_AND_DARK)
        for place, module, bit in zip(order, modules, unmasked, strict=True):
            if module != bit:
                self._mask |= 1 << (self._message_bits + 1 - place)

    def rows(self, code: str) -> list[bytes]:
        """Rows of modules of the symbol for a code, 1 where dark, without the quiet zone."""
        modules = self._drawn(self._message(code) << 2 ^ self._mask)
        return [modules[start : start + self._size] for start in range(0, len(modules), self._size)]

    def _drawn(self, bits: int) -> bytes:
        """All modules: the message's bits and the two behind it, each where it belongs."""
        digits = format(bits, self._digits).encode()
        return bytes(self._modules(digits)).translate(_DIGITS_TO_MODULES)

    def _message(self, code: str) -> int:
        """The data, then the error correction of block after block."""
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
    """Terminator, zeros up to a whole codeword, then padding (7.4.9 and 7.4.10)."""
    padding = max(0, bits - _TERMINATOR_BITS) // 8
    return int.from_bytes(bytes(_PADDING[number % 2] for number in range(padding)), "big")


def _parity_tables(error_bytes: int, most: int) -> list[list[int]]:
    """For each place in a block of `most` codewords, what each codeword adds to its parity.

    Reed-Solomon codes are linear: the parity of a block is the sum of its codewords'.
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
        # One place further from the end is a multiplication by x.
        tables.append([(each & rest) << 8 ^ last[each >> top] for each in tables[-1]])
    return tables[::-1]


def _interleaved(blocks: list[int], error_bytes: int) -> list[int]:
    """Places of the message's codewords in the order in which they are drawn (7.6)."""
    places = iter(range(sum(blocks) + error_bytes * len(blocks)))
    data = [[next(places) for _ in range(length)] for length in blocks]
    errors = [[next(places) for _ in range(error_bytes)] for _ in blocks]
    drawn = chain(
        chain.from_iterable(zip_longest(*data)), chain.from_iterable(zip(*errors, strict=True))
    )
    return [place for place in drawn if place is not None]


def _places(version: int, codewords: list[int]) -> list[int | None]:
    """Which bit of the message each module shows, row by row; None for the other modules."""
    size = _PARTS.calc_matrix_size(version)
    matrix = _PARTS.make_matrix(size, size)
    _PARTS.add_finder_patterns(matrix, size, size)
    _PARTS.add_alignment_patterns(matrix, size, size)
    grid = [list(row) for row in matrix]
    taken = _FREE + 1
    bits = [taken + place * 8 + bit for place in codewords for bit in range(8)]
    # A few modules may be left over (7.6); they are the same for all codes.
    bits += [0] * (sum(row.count(_FREE) for row in grid) - len(bits))
    _PARTS.add_codewords(grid, bits, version)
    return [each - taken if each >= taken else None for row in grid for each in row]
