"""Applies the limits to requests.

- A blocked address is refused by every route except probes, from memory.
- Every other request takes a unit of its address in this process. Cached reads cost no more.
- Bookings are charged when their batch is sent, logins by their route.
- The remaining requests are charged in Redis. Those that arrive while a call is in flight
  share the next one.
"""

import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

import grpc
import idna
from goticket_platform.caching import BatchLoader
from goticket_platform.rpc.errors import RemoteError

from gateway.http.exchange import HttpExchange
from gateway.http.problems import Problem
from gateway.rate_limits.blocked_clients import BlockedClients
from gateway.rate_limits.buckets import Charge, Decision, RateLimiter, whole_seconds
from gateway.rate_limits.charged_request import ChargedRequest, admit, refusal
from gateway.rate_limits.headers import rate_limit_headers
from gateway.rate_limits.local_limiter import LocalLimiter
from gateway.rate_limits.policy import PROBES, RateLimitPolicy, RouteClass, route_class
from gateway.security.authentication import TokenVerifier, authenticate

MAX_BATCH = 256
_CHARGED_ELSEWHERE = frozenset(
    {RouteClass.PROBE, RouteClass.CACHED_READ, RouteClass.BOOKING, RouteClass.LOGIN}
)
_UNASKED = frozenset({"/favicon.ico", "/robots.txt"})
"""Addresses that browsers and crawlers request by themselves: they are no scan."""


class RequestLimits:
    """Admits or refuses requests; `reads` has the buckets of this process alone."""

    def __init__(
        self,
        policy: RateLimitPolicy,
        limiter: RateLimiter,
        reads: LocalLimiter,
        blocked: BlockedClients,
        verifier: TokenVerifier,
    ) -> None:
        self._policy = policy
        self._limiter = limiter
        self._reads = reads
        self._blocked = blocked
        self._verifier = verifier
        self._loader: BatchLoader[ChargedRequest, Problem | None] = BatchLoader(
            self._admit_by_request, max_batch=MAX_BATCH
        )

    def check_address(self, exchange: HttpExchange) -> None:
        """Admit a request by its address, from memory.

        Raises:
            Problem: rate_limited.
        """
        if exchange.scope["path"] in PROBES:
            return
        address, policy = exchange.client.limit_key, self._policy
        if left := self._blocked.seconds_left(address):
            raise self._block_problem(exchange, left)
        if not self._reads.take(policy.reads_per_address, address):
            wait = self._reads.seconds_until(policy.reads_per_address, address)
            raise self._refuse(exchange, Decision(False, policy.reads_per_address, 0, wait, wait))

    async def charge(self, exchange: HttpExchange) -> None:
        """Charge the limits of a request's route, unless they are charged elsewhere.

        Raises:
            Problem: rate_limited.
        """
        scope = exchange.scope
        kind = route_class(scope["method"], scope["path"])
        if kind in _CHARGED_ELSEWHERE:
            return
        user_id = await self._user_id(exchange)
        charges = self._policy.charges(kind, exchange.client.limit_key, user_id)
        request = ChargedRequest(charges, exchange)
        if problem := await self._loader.load(request):
            raise problem

    def booking(self, exchange: HttpExchange, user_id: str) -> ChargedRequest:
        """Return a booking with its charges, for `admit_many`."""
        address = exchange.client.limit_key
        return ChargedRequest(self._policy.charges(RouteClass.BOOKING, address, user_id), exchange)

    async def admit_many(self, requests: Sequence[ChargedRequest]) -> list[Problem | None]:
        """Decide about requests with one call; return the problem of each refused one."""
        return await admit(self._limiter, requests)

    @asynccontextmanager
    async def login(self, exchange: HttpExchange, email: str) -> AsyncIterator[None]:
        """Count a login unless the block succeeds.

        It is charged before the password is compared, so that concurrent attempts cannot exceed
        the limit. The charge is returned after a success, and if identity was not reached.

        Raises:
            Problem: rate_limited.
        """
        policy = self._policy
        limits = (
            (policy.failed_logins_per_address, exchange.client.limit_key),
            (policy.failed_logins_per_email, _digest(email)),
        )
        charged = ChargedRequest([Charge(*each) for each in limits], exchange)
        if problem := await self._loader.load(charged):
            raise problem
        try:
            yield
        except RemoteError as error:
            if error.status is not grpc.StatusCode.UNAVAILABLE:
                raise
            await self._give_back(charged)
            raise
        await self._give_back(charged)

    async def unknown_route(self, exchange: HttpExchange) -> None:
        """Count a request that no route matches, and block an address that sends too many.

        Raises:
            Problem: rate_limited.
        """
        if exchange.scope["path"] in _UNASKED:
            return
        limit, address = self._policy.unknown_routes_per_address, exchange.client.limit_key
        [decision] = await self._limiter.admit([[Charge(limit, address)]])
        if decision.allowed:
            return
        await self._blocked.add(address, decision.retry_after)
        raise self._refuse(exchange, decision)

    async def _user_id(self, exchange: HttpExchange) -> str | None:
        """Return the user of a valid token. The route answers what is wrong with others."""
        field = exchange.headers.get(b"authorization")
        if field is None:
            return None
        try:
            caller = await authenticate(self._verifier, field.decode("latin-1"))
        except (Problem, RemoteError):
            return None
        return caller.user_id if caller else None

    async def _admit_by_request(
        self, requests: Sequence[ChargedRequest]
    ) -> Mapping[ChargedRequest, Problem | None]:
        return dict(zip(requests, await self.admit_many(requests), strict=True))

    async def _give_back(self, charged: ChargedRequest) -> None:
        returned = [Charge(each.limit, each.client, cost=-1) for each in charged.charges]
        await self.admit_many([ChargedRequest(returned, charged.exchange)])  # never refused

    def _block_problem(self, exchange: HttpExchange, left: float) -> Problem:
        limit = self._policy.unknown_routes_per_address
        wait = max(1, whole_seconds(left * 1_000_000))
        return self._refuse(exchange, Decision(False, limit, 0, wait, wait))

    def _refuse(self, exchange: HttpExchange, decision: Decision) -> Problem:
        exchange.limit_headers = rate_limit_headers(decision)
        return refusal(decision.limit.name)


def _digest(email: str) -> str:
    """Return the name of the bucket of an e-mail address, which itself is not stored.

    Identity accepts several writings of a domain (RFC 5895); all have the same bucket.
    """
    local, _, domain = email.strip().rpartition("@")
    try:
        domain = idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        domain = domain.casefold()  # no account has it
    address = unicodedata.normalize("NFKC", f"{local}@{domain}").casefold()
    return sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:32]
