"""What is done to a release in a day, a function a stage: each returns its verdict and notes what is wrong."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermis.shared.stores.disk import DiskStore
from tests.system import verify
from tests.system.cluster import training
from tests.system.cluster.clients import ClientPods, RunningLoad
from tests.system.cluster.kube import NAME_LABEL, TRAININGS, Release, kubectl, make_namespace, node_images
from tests.system.cluster.picture import Roll, draw, roll_of

IMAGES = ("gateway", "worker", "metadata", "serving", "sweep", "standalone", "trainer")
RATE = 3.0
CALM_S = 12.0
ROLL_AIM_S, REDIS_AIM_S = 5.0, 15.0
FEW = 30


@dataclass(kw_only=True)
class Day:
    release: Release
    client_namespace: str
    images: list[bytes]
    out: Path
    bad: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    """Ids of all cases that were taken in."""
    owner: str = ""
    clients: ClientPods = field(init=False)

    def done(self, title: str, cases: list[dict[str, Any]], begun: float, over: float) -> Roll:
        """Note what became of cases; those that did not finish, or were refused, are wrong."""
        self.accepted += [case["id"] for case in cases if case["id"]]
        self.bad += [f"{title}: {case['id'] or 'a case'} did not end" for case in cases if case["wait_s"] is None]
        self.bad += [f"{title}: {case['id']} is {case['status']}" for case in cases if case.get("status") == "FAILED"]
        name = title.partition(":")[0].replace(" ", "-")
        result: dict[str, Any] = {"title": title, "cases": cases, "begun": begun, "over": over}
        (self.out / f"{name}.json").write_text(json.dumps(result))
        roll = roll_of(**result)
        (self.out / f"{name}.svg").write_text(draw([roll]))
        return roll

    def no_refusal(self, title: str, cases: list[dict[str, Any]]) -> None:
        refused = [refusal["why"] for case in cases for refusal in case["refused"]]
        if refused:
            self.bad.append(f"{title}: {len(refused)} refusals, the first: {refused[0]}")


def look(day: Day) -> str:
    """See that the nodes have the images, where the chart names no registry."""
    wanted = {f"dermis-{name}:{day.release.tag}" for name in IMAGES}
    missing = sorted(wanted - node_images())
    version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    if missing:
        raise RuntimeError(f"no node has {', '.join(missing)}: build them with --tag and load them into the nodes")
    return f"Kubernetes {version}, all {len(wanted)} images; filter: {day.release.filter or 'none'}"


def install(day: Day) -> str:
    """Install the example for one node, and make a key."""
    release = day.release
    make_namespace(release.namespace)
    label = f"{NAME_LABEL}=kube-system"  # a cluster since 1.21 has it
    kubectl("label", "namespace", "kube-system", label, "--overwrite")
    day.clients = ClientPods(release, day.client_namespace, day.images)
    clients = NAME_LABEL.replace(".", "\\.")
    release.values += (f"network.clientNamespace.{clients}={day.client_namespace}",)
    begun = time.monotonic()
    release.install()
    release.wait_rolled("statefulset/dermis-redis", *release.parts())
    ready = time.monotonic() - begun
    day.clients.key = release.inside("worker", "dermis", "keys", "create", "--name", "cluster").split()[-1]
    day.owner = day.clients.key.partition(".")[0]
    return f"ready after {ready:.1f} s; containers restarted: {release.restarts() or 'none'}"


def policies(day: Day) -> str:
    """See that the NetworkPolicies let in who may, and nobody else."""
    tries = {
        "gateway": (day.clients.url.partition("//")[2], True),
        "metadata": (f"dermis-metadata.{day.release.namespace}:50051", False),
        "redis": (f"dermis-redis.{day.release.namespace}:6379", False),
    }
    script = (
        "import json,socket,sys,time\n"
        "def let_in(at):\n"  # a network plugin lets a new pod through only after a moment
        "    host, port = at.split(':')\n"
        "    end = time.time() + 5\n"
        "    while time.time() < end:\n"
        "        try: socket.create_connection((host, int(port)), 4).close()\n"
        "        except OSError: time.sleep(0.2)\n"
        "        else: return True\n"
        "    return False\n"
        "print(json.dumps({at: let_in(at) for at in sys.argv[1:]}))"
    )
    day.clients.pod("knock", ["python3", "-c", script, *(at for at, _ in tries.values())])
    let_in = json.loads(day.clients.result("knock", patience_s=60)[1])
    for name, (at, may) in tries.items():
        if let_in[at] != may:
            day.bad.append(f"policies: a client {'is not' if may else 'is'} let in to {name}")
    inner = day.release.inside("worker", "python3", "-c", script, f"dermis-gateway.{day.release.namespace}:8080")
    if any(json.loads(inner).values()):
        day.bad.append("policies: a worker may call the gateway")
    said = ", ".join(f"{name} {'let in' if let_in[at] else 'refused'}" for name, (at, _) in tries.items())
    return f"clients: {said}; worker to gateway: refused"


def first_cases(day: Day) -> str:
    """Put every photo through."""
    load = day.clients.load("photos", rate=2, seconds=(len(day.images) - 1) / 2)
    cases = load.end()
    roll = day.done("photos", cases, time.time(), time.time())
    day.no_refusal("photos", cases)
    return f"{len(day.images)} photos: {roll.figures()}"


def _under_load(day: Day, title: str, action: Callable[[], None], *, refusals: bool = False) -> Roll:
    """Keep cases coming while something is done, and until it is calm again."""
    load: RunningLoad = day.clients.load("load", rate=RATE, seconds=900)
    load.wait_first()
    time.sleep(CALM_S)
    begun = time.time()
    action()
    over = time.time()
    time.sleep(CALM_S)
    cases = load.stop()
    if not refusals:
        day.no_refusal(title, cases)
    return day.done(title, cases, begun, over)


def roll_out(day: Day) -> str:
    """Roll every part but Redis at once, as an upgrade does."""
    roll = _under_load(day, "upgrade", lambda: _roll_all(day))
    return f"{roll.figures()} (aim p99 <= {ROLL_AIM_S:g} s: {'met' if roll.p99_s <= ROLL_AIM_S else 'MISSED'})"


def _roll_all(day: Day) -> None:
    parts = day.release.parts()
    day.release.kubectl("rollout", "restart", *parts)
    day.release.wait_rolled(*parts)
    day.release.wait_gone()


def redis_restart(day: Day) -> str:
    """Restart Redis alone."""

    def restart() -> None:
        day.release.kubectl("rollout", "restart", "statefulset/dermis-redis")
        day.release.wait_rolled("statefulset/dermis-redis")

    roll = _under_load(day, "redis", restart)
    return f"{roll.figures()} (aim p99 <= {REDIS_AIM_S:g} s: {'met' if roll.p99_s <= REDIS_AIM_S else 'MISSED'})"


def upgrade(day: Day) -> str:
    """Upgrade the release to other values, and back."""

    def there_and_back() -> None:
        day.release.install("logLevel=DEBUG")
        day.release.wait_rolled(*day.release.parts())
        day.release.back()
        day.release.wait_rolled(*day.release.parts())
        day.release.wait_gone()

    roll = _under_load(day, "upgrade and back", there_and_back)
    return roll.figures()


def kill(day: Day) -> str:
    """Kill a pod of each part without notice; there is one of each, so what comes meanwhile may be refused."""

    def kill_each() -> None:
        for part in ("worker", "serving", "metadata", "gateway", "sweep"):
            words = ("-l", f"app.kubernetes.io/component={part}", "--grace-period=0", "--force")
            day.release.kubectl("delete", "pod", *words)
            day.release.wait_rolled(f"deployment/dermis-{part}")

    return _under_load(day, "pods killed", kill_each, refusals=True).figures()


def drain(day: Day) -> str:
    """Drain the node of a worker, of this release's pods alone, and open it again."""
    name = "{.items[0].spec.nodeName}"
    node = day.release.kubectl("get", "pods", "-l", "app.kubernetes.io/component=worker", "-o", f"jsonpath={name}")

    def empty() -> None:
        mine = "app.kubernetes.io/instance=dermis,app.kubernetes.io/component!=redis"
        selector = f"drained={day.release.namespace}"  # a drain knows no namespace
        day.release.kubectl("label", "pods", "-l", mine, selector)
        flags = ("--delete-emptydir-data", "--ignore-daemonsets", "--timeout=120s")
        try:
            kubectl("drain", node, f"--pod-selector={selector}", *flags)
        finally:
            kubectl("uncordon", node)
        day.release.wait_rolled(*day.release.parts())

    return f"{node}: {_under_load(day, 'drained', empty, refusals=True).figures()}"


def wipe(day: Day) -> str:
    """Empty Redis while cases wait in it."""
    clear = ("exec", "statefulset/dermis-redis", "--", "redis-cli", "FLUSHALL")
    return _under_load(day, "redis wiped", lambda: print(end=day.release.kubectl(*clear) and "")).figures()


def train(day: Day) -> str:
    """Train in a Job, measure, promote; the next case must be answered by it. Then the model goes back."""
    return training.train_and_promote(day.release, lambda: _answered_by(day), day.bad)


def _answered_by(day: Day) -> int:
    """Return the version that answers a fresh case."""
    (case,) = day.clients.load("one", rate=1, seconds=0.5).end()
    day.accepted.append(case["id"])
    return int(case.get("version", 0))


def restore(day: Day) -> str:
    """Copy the store and read it: each case has one outcome. Uninstall, install anew with a new claim, restore."""
    release = day.release
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        release.copy_store(Path(folder))
        copied = time.monotonic() - begun
        day.bad += verify.wrong_cases(DiskStore(Path(folder)), day.accepted, [], owner=day.owner)
        release.uninstall()
        claims = release.kubectl("get", "pvc", "-o", "name").split()
        release.kubectl("delete", "jobs", "-l", TRAININGS)  # a claim stays while a pod names it, one that ended too
        release.kubectl("delete", "pvc", *(name.rpartition("/")[2] for name in claims))
        release.install()
        release.wait_rolled("statefulset/dermis-redis", *release.parts())
        release.restore_store(Path(folder))
    version = _answered_by(day)
    with tempfile.TemporaryDirectory() as folder:
        release.copy_store(Path(folder))
        day.bad += verify.wrong_cases(DiskStore(Path(folder)), day.accepted, [], owner=day.owner)
    return (
        f"{len(day.accepted)} cases copied in {copied:.1f} s, one outcome each; after an uninstall, which left "
        f"{', '.join(claims)}, and a restore the same, and the old key's next case is answered by version {version}"
    )


def uninstall(day: Day) -> str:
    """Uninstall: the store's claim stays, and the trainings that were made by hand; nothing else."""
    day.release.uninstall()
    label = "app.kubernetes.io/instance=dermis"
    kinds = "deployments,statefulsets,services,pods,jobs,cronjobs,configmaps,networkpolicies,serviceaccounts"
    left = day.release.kubectl("get", kinds, "-l", label, "-o", "name").split()
    trainings = day.release.kubectl("get", "pods,jobs", "-l", TRAININGS, "-o", "name").split()
    claims = day.release.kubectl("get", "pvc", "-o", "name").split()
    day.bad += [f"uninstall: {name} is left" for name in left if name not in trainings]
    if "persistentvolumeclaim/dermis-store" not in claims:
        day.bad.append("uninstall: the store's claim is gone, with all cases")
    jobs = [name for name in trainings if name.startswith("job")]
    return f"left: {', '.join(claims + jobs)}"


STAGES: dict[str, Callable[[Day], str]] = {
    "look": look,
    "install": install,
    "policies": policies,
    "photos": first_cases,
    "roll": roll_out,
    "redis": redis_restart,
    "upgrade": upgrade,
    "kill": kill,
    "drain": drain,
    "wipe": wipe,
    "train": train,
    "restore": restore,
    "uninstall": uninstall,
}
