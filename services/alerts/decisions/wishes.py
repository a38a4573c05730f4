"""What labs wish: subscriptions, portfolios, silences and endpoints, as the database has them under one revision."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts import state
from services.alerts.decisions import store
from services.alerts.domain.endpoint import Endpoint
from services.alerts.domain.portfolio import Purchase
from services.alerts.domain.silence import Silence
from services.alerts.domain.subscription import ByVendor, Subscription
from services.alerts.endpoints.sealing import Sealer
from services.alerts.endpoints.store import endpoints as endpoints_of


@dataclass(frozen=True, slots=True)
class Wishes:
    """By lab; subscriptions by lab and name, portfolios by lab and vendor."""

    revision: int
    by_vendor: ByVendor
    subscriptions: dict[tuple[str, str], Subscription]
    portfolios: dict[str, dict[str, Purchase]]
    silences: dict[str, list[Silence]]
    endpoints: dict[str, list[Endpoint]]


async def wishes_of(connection: AsyncConnection, revision: int, sealer: Sealer) -> Wishes:
    """All of them."""
    subscriptions = await state.subscriptions_of(connection)
    portfolios = await store.portfolios(connection)
    silences: dict[str, list[Silence]] = {}
    for silence in await store.silences(connection):
        silences.setdefault(silence.lab, []).append(silence)
    endpoints: dict[str, list[Endpoint]] = {}
    for endpoint in await endpoints_of(connection, sealer):
        endpoints.setdefault(endpoint.lab, []).append(endpoint)
    named = {(one.lab, one.name): one for one in subscriptions}
    return Wishes(revision, ByVendor(subscriptions, portfolios), named, portfolios, silences, endpoints)
