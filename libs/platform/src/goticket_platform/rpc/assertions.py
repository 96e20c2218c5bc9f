"""Call assertions: a service proves to another which service it is, once per call.

An assertion is a JWT (RFC 7519) in the call's metadata, signed with the calling service's own
Ed25519 key. Its claims bind it to one call:

- `iss` and `aud` are the calling and the serving service;
- `method` is the full name of the RPC;
- `digest` is the SHA-256 of the serialized request. So the assertion also covers the actor that
  the request names, and all actors of a batch;
- `iat`, `exp` and `jti` limit it to some seconds and to one use per process.

The receiver checks `goticket_contracts.rpc_callers` and refuses a named actor from any service
that does not verify users' tokens.
"""

import base64
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import Message
from goticket.common.v1.common_pb2 import Actor
from goticket_contracts.rpc_callers import USER_VOUCHERS, allowed_callers, audience_of
from prometheus_client import Counter

from goticket_platform.settings import CallerKeys

METADATA_KEY = "goticket-call-assertion"
LIFETIME_SECONDS = 30
"""Validity of an assertion: longer than clocks differ, shorter than an attack takes."""
LEEWAY_SECONDS = 5
"""Difference of the clocks of two machines that is accepted."""
MAX_REMEMBERED = 200_000
"""Assertions of one caller whose use is remembered: 40 seconds at 5,000 calls/s, about 30 MB."""
MAX_ID_CHARACTERS = 32

_ALGORITHM = "EdDSA"

REFUSED = Counter(
    "goticket_rpc_assertions_refused", "Calls without a valid call assertion", ["reason"]
)


class AssertionRefused(Exception):
    """The call does not prove that an allowed service makes it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AssertionSigner:
    """Signs the calls of one service; `clock` returns Unix seconds."""

    def __init__(
        self, service: str, private_key: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self._clock = clock

    def sign(self, method: str, request: bytes) -> str:
        """Return the assertion for one call of `method` with this serialized request."""
        issued_at = int(self._clock())
        claims = {
            "iss": self._service,
            "aud": audience_of(method),
            "method": method,
            "digest": _digest(request),
            "iat": issued_at,
            "exp": issued_at + LIFETIME_SECONDS,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, _ALGORITHM)


class AssertionVerifier:
    """Verifies the calls that one service receives; `clock` returns Unix seconds."""

    def __init__(
        self,
        service: str,
        caller_keys: CallerKeys,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._keys = {
            peer: [Ed25519PublicKey.from_public_bytes(key) for key in keys]
            for peer, keys in caller_keys.items()
        }
        self._clock = clock
        # By caller, so that a stolen key of one service cannot use up the memory of the others.
        self._used: dict[str, OrderedDict[str, float]] = {
            caller: OrderedDict() for caller in self._keys
        }

    def verify(self, assertion: str | None, method: str, request: bytes) -> str:
        """Return the service that makes the call.

        Raises:
            AssertionRefused: there is no assertion, it is not valid for this call, it was used
                before, or the service may not call the method.
        """
        try:
            return self._verify(assertion, method, request)
        except AssertionRefused as refusal:
            REFUSED.labels(refusal.reason).inc()
            raise

    def _verify(self, assertion: str | None, method: str, request: bytes) -> str:
        if not assertion:
            raise AssertionRefused("missing")
        claims = self._claims(assertion)
        if claims["method"] != method or claims["digest"] != _digest(request):
            raise AssertionRefused("other_call")
        caller = str(claims["iss"])
        if caller not in allowed_callers(method):
            raise AssertionRefused("caller")
        self._require_unused(caller, str(claims["jti"]))
        return caller

    def _claims(self, assertion: str) -> dict[str, Any]:
        """Return the claims of an assertion that a known peer signed for this service."""
        for key in self._keys.get(_issuer(assertion), ()):
            try:
                claims = self._decode(assertion, key)
            except jwt.InvalidSignatureError:
                continue
            except jwt.InvalidAudienceError as error:
                raise AssertionRefused("audience") from error
            except (jwt.PyJWTError, RecursionError) as error:
                raise AssertionRefused("malformed") from error
            self._require_current(claims)
            return claims
        raise AssertionRefused("signature")

    def _decode(self, assertion: str, key: Ed25519PublicKey) -> dict[str, Any]:
        return jwt.decode(
            assertion,
            key,
            algorithms=[_ALGORITHM],
            audience=self._service,
            options={
                "require": ["iss", "aud", "iat", "exp", "jti", "method", "digest"],
                # `_require_current` compares with the clock of this object.
                "verify_exp": False,
                "verify_iat": False,
            },
        )

    def _require_current(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        issued_at, expires_at = claims["iat"], claims["exp"]
        if not isinstance(issued_at, int) or not isinstance(expires_at, int):
            raise AssertionRefused("malformed")
        is_too_long = expires_at - issued_at > LIFETIME_SECONDS
        if is_too_long or issued_at > now + LEEWAY_SECONDS or expires_at < now - LEEWAY_SECONDS:
            raise AssertionRefused("expired")

    def _require_unused(self, caller: str, assertion_id: str) -> None:
        """Remember the use until the assertion would have expired anyway."""
        if len(assertion_id) > MAX_ID_CHARACTERS:
            raise AssertionRefused("malformed")
        now = self._clock()
        used = self._used[caller]
        while used and next(iter(used.values())) < now:
            used.popitem(last=False)
        if assertion_id in used:
            raise AssertionRefused("replayed")
        if len(used) >= MAX_REMEMBERED:
            raise AssertionRefused("too_many")
        used[assertion_id] = now + LIFETIME_SECONDS + 2 * LEEWAY_SECONDS


def require_no_actor_unless_vouched(request: Message, caller: str) -> None:
    """Check that only a service that verifies users' tokens names users.

    Raises:
        AssertionRefused: another service names an actor, at any depth of the request.
    """
    if caller not in USER_VOUCHERS and _names_actor(request):
        REFUSED.labels("actor").inc()
        raise AssertionRefused("actor")


def _names_actor(message: Message) -> bool:
    if isinstance(message, Actor):
        # Also one with roles only.
        return message.ByteSize() > 0
    return any(
        _names_actor(nested)
        for descriptor, value in message.ListFields()
        if descriptor.message_type is not None
        for nested in _messages(value)
    )


def _messages(value: Any) -> Iterator[Message]:
    """Yield the messages of a field: one, a list, or the values of a map."""
    if isinstance(value, Message):
        yield value
        return
    for each in value.values() if isinstance(value, Mapping) else value:
        if isinstance(each, Message):
            yield each


def _issuer(assertion: str) -> str:
    """Return who the assertion says has signed it; the signature is verified afterwards."""
    try:
        payload = assertion.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["iss"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise AssertionRefused("malformed") from error


def _digest(request: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(request).digest()).decode()
