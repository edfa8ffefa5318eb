"""Each controller acts as its own service account: it may do what its role allows and no more.

All of them share one pool of connections that carries no client certificate; a request carries the account's token. A
token is asked for with the manager's own identity when the first request needs it, and again before it expires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from kubarium.apimachinery import errors, time
from kubarium.client.rest import Client
from kubarium.client.transport import Transport
from kubarium.component_base.clock import Clock

NAMESPACE = "kube-system"
LIFETIME = 3600  # seconds
MARGIN = timedelta(minutes=10)  # a token this close to its end is replaced


class AccountToken:
    """The newest token of one service account in `kube-system`, which is made if it does not exist."""

    def __init__(self, manager: Client, account: str, clock: Clock) -> None:
        self._accounts = manager.resource("v1", "serviceaccounts")
        self._account, self._clock = account, clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._good_until = clock.now()

    @property
    def token(self) -> str:
        """The token as it is."""
        return self._token

    def drop(self) -> None:
        """The server does not accept it any more."""
        self._token = ""

    async def refresh(self) -> None:
        """Have a token that is good for a while."""
        if self._token and self._clock.now() < self._good_until:
            return
        async with self._lock:
            if self._token and self._clock.now() < self._good_until:
                return
            try:
                await self._ask()
            except errors.NotFound:
                await self._make_account()
                await self._ask()

    async def _ask(self) -> None:
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [], "expirationSeconds": LIFETIME},
        }
        answer = await self._accounts.create(request, NAMESPACE, name=self._account, subresource="token")
        self._token = answer["status"]["token"]
        self._good_until = time.parse_time(answer["status"]["expirationTimestamp"]) - MARGIN

    async def _make_account(self) -> None:
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": self._account, "namespace": NAMESPACE},
        }
        try:
            await self._accounts.create(account)
        except errors.AlreadyExists:
            return


class AccountClient(Client):
    """A client that acts as a service account."""

    def __init__(self, manager: Client, transport: Transport, account: str, clock: Clock) -> None:
        super().__init__(manager.config, user_agent=f"kube-controller-manager/{account}", transport=transport)
        self._account = AccountToken(manager, account, clock)

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**super().headers(more), "Authorization": f"Bearer {self._account.token}"}

    async def identify(self) -> None:
        await self._account.refresh()

    def forget_identity(self) -> bool:
        """The account was deleted and made again, or keys were rotated."""
        self._account.drop()
        return True
