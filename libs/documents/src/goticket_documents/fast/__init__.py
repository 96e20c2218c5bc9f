"""Shortcuts around fpdf2 and segno that the throughput of e-mails needs.

One notification worker must send 150 e-mails per second with one PDF each, which allows 6.6 ms
of CPU time per e-mail. `services/notification/benchmarks/bench_worker.py` measured on one of two
shared cores, in turns, with all other code unchanged:

    both shortcuts                 6.5 ms per e-mail
    without `qr_layout`            8.6 ms
    without `drawing_cache`        7.6 ms

`qr_layout` also makes `qr.svg` five times as fast: 0.5 ms instead of 2.4 ms. Tests compare the
output of each shortcut with that of the library.
"""
