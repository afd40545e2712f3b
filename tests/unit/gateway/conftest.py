"""A gateway over a store in memory and a broker that only remembers; images and forms to send."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from dermis.gateway.app import create_app
from dermis.gateway.auth import AccessGuard
from dermis.gateway.dependencies import Dependencies
from dermis.gateway.hub import Hub
from dermis.gateway.metrics import GatewayMetrics
from dermis.gateway.pipeline import CasePipeline, now
from dermis.gateway.ports import QueueLoad, Rate
from dermis.gateway.sessions import session_owner
from dermis.gateway.settings import GatewaySettings
from dermis.gateway.sign_in import sign_in_of
from dermis.shared.api_keys import KEYS_PREFIX, Scope, make_key, put_key
from dermis.shared.audit import Audit
from dermis.shared.batches import BatchJob
from dermis.shared.case import Assessed, Heatmap, ModelRef, Outcome, OutcomeKind, fact_key, heatmap_key, image_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessImageJob, AssessJob
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.webhook_store import Outbox
from dermis.shared.webhooks import DeliverJob
from tests.support.photos import exif, jpeg, png, webp  # noqa: F401 - fixtures

MAX_IMAGE_BYTES = 200_000
NOW = datetime(2026, 1, 2, tzinfo=UTC)
MODEL = ModelRef(name="m", version=1, purpose="demo")
HEATMAP = Heatmap(n=1, condition="ECZEMA", place=0)
ALL = (Scope.CASES_READ, Scope.CASES_WRITE, Scope.MODELS_READ)


@dataclass
class FakeBroker:
    """A broker whose queue holds what was sent, or says that it holds `depth`.

    `worker` does what a worker would with each job.
    """

    hub: Hub
    up: bool = True
    depth: int | None = None
    age: float = 0.0
    lines: dict[str, tuple[int, float]] = field(default_factory=dict)
    reply: bytes | None = None
    jobs: list[AssessJob] = field(default_factory=list)
    steps: list[BatchJob] = field(default_factory=list)
    deliveries: list[DeliverJob] = field(default_factory=list)
    asked: list[AssessImageJob] = field(default_factory=list)
    delivers: bool = True
    worker: Callable[[AssessJob], Awaitable[None]] | None = None
    tasks: list[Any] = field(default_factory=list)

    async def send(self, job: AssessJob) -> bool:
        if self.up:
            self.jobs.append(job)
            if self.worker:
                self.tasks.append(asyncio.ensure_future(self.worker(job)))
        return self.up

    async def send_batch(self, jobs: Sequence[BatchJob]) -> None:
        self.steps += jobs if self.up else []

    async def delivers_webhooks(self) -> bool | None:
        return self.delivers if self.up else None

    async def send_deliveries(self, jobs: Sequence[DeliverJob]) -> None:
        self.deliveries += jobs if self.up else []

    async def ask(self, job: AssessImageJob, *, seconds: float) -> bytes | None:  # noqa: ARG002 - the port's name
        if not self.up:
            raise DermisError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", "no worker can be asked now")
        self.asked.append(job)
        return self.reply

    async def announce(self, case_id: str, _fact: str) -> None:
        self.hub.wake(case_id)

    async def load(self, line: str = "") -> QueueLoad | None:
        if not self.up:
            return None
        waiting, age = self.lines.get(line, (0, 0.0))
        return QueueLoad(
            depth=len(self.jobs) if self.depth is None else self.depth, age=self.age, line=waiting, line_age=age
        )

    async def feed(self, hub: Hub) -> None:
        hub.fed = True
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.up = False


@dataclass
class FakeRates:
    """Counts calls for ever: no minute ends."""

    calls: dict[str, int] = field(default_factory=dict)

    async def hit(self, caller: str, *, per_minute: int) -> Rate:
        self.calls[caller] = self.calls.get(caller, 0) + 1
        return Rate(refused=self.calls[caller] > per_minute, left=max(0, per_minute - self.calls[caller]), reset_s=7)

    async def wait(self, caller: str, *, per_minute: int) -> int:
        return 7 if self.calls.get(caller, 0) >= per_minute else 0

    async def close(self) -> None:
        self.calls.clear()


class Gateway:
    """The gateway under test, on one loop; `client` makes calls of its own kind, the others one after the other."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.hub = Hub()
        self.store = MemoryStore()
        self.broker = FakeBroker(self.hub)
        self.metrics = GatewayMetrics()
        self.rates = FakeRates()
        self.now = 0.0
        self.clock: Callable[[], datetime] = now
        self.headers: dict[str, str] = {}
        self.guard: AccessGuard | None = None
        self.audit = Audit(self.store, "gateway")
        self.settings: dict[str, Any] = {
            "store_url": "file:///nowhere",
            "max_image_bytes": MAX_IMAGE_BYTES,
            "keyless": True,
        }

    def client(self) -> httpx.AsyncClient:
        settings = GatewaySettings(**self.settings)
        pipeline = CasePipeline(
            store=self.store,
            outbox=Outbox(self.store),
            hub=self.hub,
            clock=lambda: self.clock(),
            count_feedback=self.metrics.feedback,
        )
        self.guard = self.guard or AccessGuard(
            self.store, self.rates, settings, shares=pipeline.shares, clock=lambda: self.now
        )
        app = create_app(
            Dependencies(
                settings=settings,
                pipeline=pipeline,
                broker=self.broker,
                metrics=self.metrics,
                guard=self.guard,
                audit=self.audit,
                sign_in=sign_in_of(settings, pipeline.clock),
            )
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.runner.run(self._call(method, path, options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.call("GET", path, **options)

    def submit(
        self, *images: bytes, names: str = "photo.jpg", headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        files = [("images", (names, image, "image/jpeg")) for image in images]
        return self.call(
            "POST", "/v1/cases", files=files or [("consent", (None, ""))], data=fields, headers=headers or {}
        )

    @property
    def keys(self) -> list[str]:
        return list(self.store.list(""))

    @property
    def kept(self) -> list[str]:
        """All that is stored but API keys."""
        return [key for key in self.keys if not key.startswith(KEYS_PREFIX)]

    async def _call(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        async with self.client() as client:
            return await client.request(
                method, path, **options | {"headers": self.headers | (options.get("headers") or {})}
            )


def new_key(
    gateway: Gateway, *scopes: Scope, owner: str | None = None, livemode: bool = True
) -> tuple[str, dict[str, str]]:
    """Return a key's id and its header."""
    key, token = make_key(name="test", scopes=scopes or ALL, at=NOW, owner=owner, livemode=livemode)
    put_key(gateway.store, key)
    return key.key_id, {"Authorization": f"Bearer {token}"}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with asyncio.Runner() as runner:
        yield Gateway(runner)


class Browser:
    """Keeps cookies as a browser does, by their path."""

    def __init__(self, gateway: Gateway, **headers: str) -> None:
        self.gateway = gateway
        self.jar = httpx.Cookies()
        self.headers = headers

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            async with self.gateway.client() as client:
                client.cookies = self.jar
                headers = self.headers | options.pop("headers", {})
                response = await client.request(method, path, headers=headers, **options)
                self.jar = client.cookies
                return response

        return self.gateway.runner.run(run())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.call("GET", path, **options)

    @property
    def owner(self) -> str:
        return session_owner(self.jar["dermis_session"]) or ""

    def case(self, image: bytes) -> str:
        """Return the id of a finished case of this browser's, with a heatmap."""
        response = self.call("POST", "/v1/cases", files={"images": image})
        assert response.status_code == 202, response.text
        case_id: str = response.json()["id"]
        outcome = Outcome(
            case_id=case_id, finished_at=NOW, kind=OutcomeKind.DIFFERENTIAL, model=MODEL, heatmaps=(HEATMAP,)
        )
        store = self.gateway.store
        assessed = Assessed(case_id=case_id, assessed_at=NOW, images=())
        store.put_once(fact_key(self.owner, case_id, "assessed"), assessed.model_dump_json().encode())
        store.put_once(fact_key(self.owner, case_id, "outcome"), outcome.model_dump_json().encode())
        store.put_once(image_key(self.owner, case_id, 1, "prepared"), image)
        store.put_once(heatmap_key(self.owner, case_id, HEATMAP, MODEL), b"heatmap")
        return case_id


@pytest.fixture
def offered(gateway: Any) -> Any:
    """A gateway that offers people the page, and serves no other caller without a key."""
    gateway.settings |= {"keyless": False, "sessions": True}
    return gateway


@pytest.fixture
def browser(offered: Any) -> Browser:
    return visiting(offered)


def visiting(gateway: Any) -> Browser:
    """Return a browser that has opened the page."""
    browser = Browser(gateway)
    assert browser.get("/").status_code == 200
    return browser
