"""Mutual TLS between services: who connects, and certificates that change."""

# The asyncio stub class exists for the type checker only.
from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1 import booking_pb2_grpc as rpc
from goticket_local.certificates import ensure_certificates
from goticket_platform.ops import Health
from goticket_platform.rpc.assertions import AssertionVerifier
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import ErrorTable, RemoteError
from goticket_platform.rpc.server import serve_grpc
from goticket_platform.rpc.settings import TlsSettings
from goticket_platform.rpc.tls import (
    CHECK_SECONDS,
    CertificateReloader,
    InvalidCertificates,
    TlsFiles,
)
from goticket_platform.settings import SettingsError, load
from goticket_testing.rpc_keys import caller_keys, signer
from pydantic_settings import SettingsConfigDict

SERVICES = ("booking", "gateway")


def files_in(folder: Path, service: str) -> TlsFiles:
    return TlsFiles(folder / f"{service}.pem", folder / f"{service}.key", folder / "ca.pem")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ensure_certificates(tmp_path / "tls", SERVICES)
    return tmp_path / "tls"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return the folder of another authority."""
    ensure_certificates(tmp_path / "foreign", SERVICES)
    return tmp_path / "foreign"


class Bookings(rpc.BookingServiceServicer):
    """Answers, and records the serial numbers of the clients' certificates."""

    def __init__(self) -> None:
        self.clients: list[int] = []

    async def GetBooking(self, request: object, context: Any) -> Any:  # noqa: N802 - gRPC's name
        (pem,) = context.auth_context()["x509_pem_cert"]
        self.clients.append(x509.load_pem_x509_certificate(pem).serial_number)
        return pb.GetBookingResponse()


@asynccontextmanager
async def serving(tls: TlsFiles) -> AsyncIterator[tuple[Bookings, str]]:
    bookings = Bookings()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED

    def register(server: grpc.aio.Server) -> None:
        rpc.add_BookingServiceServicer_to_server(bookings, server)

    async with serve_grpc(
        "127.0.0.1:0",
        ErrorTable("booking.goticket", {}),
        register,
        [],
        Health(),
        verifier=AssertionVerifier("booking", caller_keys("booking")),
        tls=tls,
    ) as port:
        yield bookings, f"127.0.0.1:{port}"


def serial_of(file: Path) -> int:
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


async def get(target: str, tls: TlsFiles | None) -> None:
    async with open_channel(target, signer("gateway"), tls) as channel:
        stub = rpc.BookingServiceStub(channel)
        await call(stub.GetBooking, pb.GetBookingRequest(booking_id="b"), timeout=5)


async def test_services_with_certificates_of_one_authority_call_each_other(folder: Path) -> None:
    async with serving(files_in(folder, "booking")) as (bookings, target):
        await get(target, files_in(folder, "gateway"))
    assert bookings.clients == [serial_of(folder / "gateway.pem")]


async def test_a_client_without_a_certificate_of_the_authority_is_refused(
    folder: Path, foreign: Path
) -> None:
    unknown = TlsFiles(foreign / "gateway.pem", foreign / "gateway.key", folder / "ca.pem")
    async with serving(files_in(folder, "booking")) as (bookings, target):
        for tls in (None, unknown):
            with pytest.raises(RemoteError) as refused:
                await get(target, tls)
            assert refused.value.status is grpc.StatusCode.UNAVAILABLE
        only_encrypted = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
        async with grpc.aio.secure_channel(target, only_encrypted) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await rpc.BookingServiceStub(channel).GetBooking(pb.GetBookingRequest())
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not bookings.clients


async def test_a_server_of_another_authority_gets_no_request(folder: Path, foreign: Path) -> None:
    lenient = TlsFiles(foreign / "booking.pem", foreign / "booking.key", folder / "ca.pem")
    async with serving(lenient) as (bookings, target):
        with pytest.raises(RemoteError):
            await get(target, files_in(folder, "gateway"))
    assert not bookings.clients


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def test_both_sides_use_renewed_certificates_without_a_restart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goticket_platform.rpc.tls.CHECK_SECONDS", 0.0)
    old = serial_of(folder / "gateway.pem")
    request = pb.GetBookingRequest(booking_id="b")
    async with (
        serving(files_in(folder, "booking")) as (bookings, target),
        open_channel(target, signer("gateway"), files_in(folder, "gateway")) as channel,
    ):
        stub = rpc.BookingServiceStub(channel)
        await call(stub.GetBooking, request)
        ensure_certificates(folder, SERVICES, renew=True)
        await call(stub.GetBooking, request)
        served = await _served_serial(target, folder)
    assert bookings.clients == [old, serial_of(folder / "gateway.pem")]
    assert served == serial_of(folder / "booking.pem")


async def _served_serial(target: str, folder: Path) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "gateway.pem", folder / "gateway.key")
    context.set_alpn_protocols(["h2"])
    host, port = target.split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der).serial_number


def test_files_that_do_not_belong_together_leave_the_former_ones_in_use(
    folder: Path, foreign: Path
) -> None:
    clock = Clock()
    reloader = CertificateReloader(files_in(folder, "booking"), clock)
    first = reloader.current
    shutil.copy(foreign / "booking.key", folder / "booking.key")
    assert not reloader.renewed()  # not checked yet
    clock.now += CHECK_SECONDS
    assert not reloader.renewed()
    assert reloader.current == first
    shutil.copy(foreign / "booking.pem", folder / "booking.pem")
    clock.now += CHECK_SECONDS
    assert reloader.renewed()
    assert reloader.current.certificate == (foreign / "booking.pem").read_bytes()
    (folder / "booking.pem").unlink()
    clock.now += CHECK_SECONDS
    assert not reloader.renewed()


@pytest.mark.parametrize("broken", ["booking.pem", "booking.key", "ca.pem"])
def test_an_unreadable_file_is_an_error_at_the_start(folder: Path, broken: str) -> None:
    (folder / broken).write_text("no PEM")
    with pytest.raises(InvalidCertificates, match="cannot be read"):
        CertificateReloader(files_in(folder, "booking"))


class Settings(TlsSettings):
    model_config = SettingsConfigDict(env_prefix="BOOKING_", frozen=True)


def test_settings_name_all_three_files_or_none(
    folder: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(Settings).tls is None
    monkeypatch.setenv("BOOKING_TLS_CERT_FILE", str(folder / "booking.pem"))
    with pytest.raises(SettingsError, match="must be set together"):
        load(Settings)
    monkeypatch.setenv("BOOKING_TLS_KEY_FILE", str(foreign / "booking.key"))
    monkeypatch.setenv("BOOKING_TLS_CA_FILE", str(folder / "ca.pem"))
    with pytest.raises(SettingsError, match="not that of the certificate"):
        load(Settings)
    monkeypatch.setenv("BOOKING_TLS_KEY_FILE", str(folder / "booking.key"))
    assert load(Settings).tls == files_in(folder, "booking")
