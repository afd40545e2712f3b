"""The chart's laws, on every example: who may do what, who may talk to whom, what must be there."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.charts.conftest import CHART, EXAMPLES, ROOT, Manifest, Render, example

pytestmark = pytest.mark.charts
PARTS = {"gateway", "worker", "metadata", "serving", "sweep", "trainer"}
JOBS = {"backup", "judge"}
"""By the clock, where they are enabled."""


# --- what every pod has -----------------------------------------------------------------------------------------------


def test_every_part_is_there(each: Render) -> None:
    assert each.pods().keys() - {"redis"} - JOBS == PARTS


def test_no_pod_may_do_more_than_it_must(each: Render) -> None:
    for part, pod in each.pods().items():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, part
        assert context["runAsUser"] >= 999, part
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, part
        assert pod["automountServiceAccountToken"] is False, part
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), part
        assert not [volume for volume in pod.get("volumes", []) if "hostPath" in volume], part
    assert [account["automountServiceAccountToken"] for account in each.of("ServiceAccount")] == [False]


def test_no_container_may_do_more_than_it_must(each: Render) -> None:
    for name, container in each.containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_every_container_has_limits(each: Render) -> None:
    for name, container in each.containers():
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][kind].keys(), (name, kind)


def test_every_container_that_runs_on_is_probed(each: Render) -> None:
    for name, container in each.containers():
        if name not in {"init", "trainer", *JOBS}:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(), name


def test_secrets_come_by_reference_only(each: Render) -> None:
    assert each.of("Secret") == []
    for name, container in each.containers():
        for variable in container.get("env", []):
            if re.search("PASSWORD|SECRET|TOKEN|KEY", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], (name, variable["name"])


def test_what_there_is_several_of_is_spread_and_outlives_a_drain(each: Render) -> None:
    assert {
        budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for budget in each.of("PodDisruptionBudget")
    } == {
        "gateway",
        "worker",
        "metadata",
        "serving",
    }
    for part in ("gateway", "worker", "metadata", "serving"):
        keys = [spread["topologyKey"] for spread in each.pods()[part]["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


# --- who talks to whom ------------------------------------------------------------------------------------------------

ARROWS = {
    ("gateway", "redis", 6379),
    ("sweep", "redis", 6379),
    ("trainer", "redis", 6379),
    ("worker", "redis", 6379),
    ("sweep", "metadata", 50051),
    ("sweep", "serving", 8500),
    ("worker", "metadata", 50051),
    ("worker", "serving", 8500),
}


def arrows(policies: list[Manifest], direction: str) -> list[tuple[str, str, int]]:
    """Return the arrows between parts that the policies' rules of one direction allow."""
    arrows = []
    for policy in policies:
        own = policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
        for rule in policy["spec"].get(direction.lower()) or []:
            for peer in rule.get("from" if direction == "Ingress" else "to", []):
                if "podSelector" in peer:
                    other = peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                    (port,) = (each["port"] for each in rule["ports"])
                    arrows.append((other, own, port) if direction == "Ingress" else (own, other, port))
    return sorted(arrows)


def test_there_is_one_rule_per_arrow_and_no_other(each: Render) -> None:
    policies = each.of("NetworkPolicy")
    wanted = sorted(arrow for arrow in ARROWS if "redis" in each.pods() or arrow[1] != "redis")
    assert arrows(policies, "Ingress") == wanted
    assert arrows(policies, "Egress") == wanted


def test_all_else_is_denied(each: Render) -> None:
    deny = each.one("NetworkPolicy", "deny-all")["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & deny.keys()
    for pod in each.of("Deployment"):
        assert deny["podSelector"]["matchLabels"].items() <= pod["spec"]["template"]["metadata"]["labels"].items()


def test_the_arrows_lead_to_ports_that_are_served(each: Render) -> None:
    for _, target, port in arrows(each.of("NetworkPolicy"), "Ingress"):
        ports = {each["containerPort"] for each in each.pods()[target]["containers"][0]["ports"]}
        assert port in ports, target


def from_outside(render: Render) -> dict[tuple[str, int], set[str]]:
    peers: dict[tuple[str, int], set[str]] = {}
    for policy in render.of("NetworkPolicy"):
        for rule in policy["spec"].get("ingress") or []:
            for peer in rule["from"]:
                if "namespaceSelector" in peer:
                    assert peer["namespaceSelector"]["matchLabels"], "an empty selector is every namespace"
                    key = (policy["metadata"]["name"].removeprefix("dermis-"), rule["ports"][0]["port"])
                    peers.setdefault(key, set()).update(peer["namespaceSelector"]["matchLabels"].values())
    return peers


def test_other_namespaces_reach_only_what_they_need(rendered: Callable[..., Render]) -> None:
    assert from_outside(rendered("default")) == {}
    assert from_outside(rendered("external-redis")) == {("gateway", 8080): {"traefik"}}
    assert from_outside(rendered("gpu-prod")) == {
        ("serving", 8501): {"monitoring"},
        **{(part, 9100): {"monitoring"} for part in ("gateway", "metadata", "sweep", "worker")},
        ("redis", 6379): {"keda"},
    }


@pytest.mark.parametrize("kind", ["twin", "tensorflow"])
def test_every_part_that_can_be_measured_is(rendered: Callable[..., Render], kind: str) -> None:
    render = rendered("default", {"monitoring": {"serviceMonitor": True}, "serving": {"kind": kind}})
    own = {"gateway", "metadata", "sweep", "worker"} | ({"serving"} if kind == "twin" else set())
    assert {each["metadata"]["name"].removeprefix("dermis-") for each in render.of("PodMonitor")} == own
    for part in own:
        assert render.env(part)[f"DERMIS_{part.upper()}_METRICS_LISTEN"] == "0.0.0.0:9100"
        (container,) = render.pods()[part]["containers"]
        assert {"name": "metrics", "containerPort": 9100} in container["ports"]
        assert from_outside(render)[part, 9100] == {"monitoring"}
    assert not rendered("default").of("PodMonitor")


def test_traces_go_to_the_collector_and_nowhere_else(rendered: Callable[..., Render]) -> None:
    render = rendered("default", {"traces": {"url": "http://collector.monitoring:4318"}})
    to = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "ports": [{"port": 4318}],
    }
    for part in PARTS:
        assert render.env(part)["DERMIS_TRACES_URL"] == "http://collector.monitoring:4318"
        assert to in render.one("NetworkPolicy", part)["spec"]["egress"]
    assert "DERMIS_TRACES_URL" not in rendered("default").env("worker")


def leaves_the_cluster(render: Render) -> set[str]:
    return {
        policy["metadata"]["name"].removeprefix("dermis-")
        for policy in render.of("NetworkPolicy")
        for rule in policy["spec"].get("egress") or []
        if rule == {"ports": [{"port": 443}]}
    }


def test_only_who_reads_buckets_leaves_the_cluster(rendered: Callable[..., Render]) -> None:
    assert leaves_the_cluster(rendered("default")) == {"trainer"}
    assert leaves_the_cluster(rendered("default", {"network": {"batchesFromBuckets": True}})) == {
        "trainer",
        "gateway",
        "worker",
    }
    assert leaves_the_cluster(rendered("gpu-prod")) == PARTS
    assert leaves_the_cluster(rendered("nightly")) == {"trainer", "backup"}


# --- drain, growth, GPUs ----------------------------------------------------------------------------------------------


def test_a_pod_has_longer_to_end_than_its_work_takes(each: Render) -> None:
    settings = (ROOT / "docs/reference/settings.md").read_text()
    gateway_drain = re.search(r"`DERMIS_GATEWAY_DRAIN_SECONDS` \| `(\d+)`", settings)
    assert gateway_drain is not None
    pods = each.pods()
    assert pods["worker"]["terminationGracePeriodSeconds"] > float(
        each.env("worker")["DERMIS_WORKER_HARD_TIME_LIMIT_SECONDS"]
    )
    assert pods["gateway"]["terminationGracePeriodSeconds"] > int(gateway_drain[1]) + 5  # the wait before it is told


@pytest.mark.parametrize("part", ["metadata", "serving"])
def test_a_peer_still_answers_while_it_leaves_and_has_time_to_end(rendered: Callable[..., Render], part: str) -> None:
    render = rendered("default", {part: {"leaveSeconds": 15}})
    assert render.env(part)[f"DERMIS_{part.upper()}_LEAVE_SECONDS"] == "15"
    assert render.pods()[part]["terminationGracePeriodSeconds"] >= 15 + 10  # running calls get ten seconds
    (container,) = rendered("gpu-prod").pods()["serving"]["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]


@pytest.mark.parametrize("changes", [{"drainSeconds": 25}, {"taskLimitSeconds": 60}])
def test_a_drain_that_would_cut_a_case_off_is_refused(rendered: Callable[..., Render], changes: Manifest) -> None:
    with pytest.raises(
        Exception,
        match=r"worker.drainSeconds \d+: a running case would be cut off; set more than worker.taskLimitSeconds",
    ):
        rendered("default", {"worker": changes})


def test_gpus_are_asked_for_and_their_nodes_put_up_with(rendered: Callable[..., Render]) -> None:
    pods = rendered("gpu-prod").pods()
    for part in ("serving", "trainer"):
        assert pods[part]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pods[part]["tolerations"]
        assert pods[part]["nodeSelector"]["cloud.google.com/gke-accelerator"]
    assert [part for part, pod in pods.items() if "nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]] == [
        "serving",
        "trainer",
    ]


def test_one_value_chooses_between_tensorflow_serving_and_the_twin(rendered: Callable[..., Render]) -> None:
    images = {
        kind: rendered("default", {"serving": {"kind": kind}}).pods()["serving"]["containers"][0]["image"]
        for kind in ("twin", "tensorflow")
    }
    assert images == {"twin": "dermis-serving:0.1.0", "tensorflow": "dermis-tfserving:0.1.0"}


def test_workers_follow_waiting_and_running_cases(rendered: Callable[..., Render]) -> None:
    scaled = rendered("gpu-prod").one("ScaledObject", "worker")["spec"]
    keys = {trigger["name"]: trigger["metadata"]["listName"] for trigger in scaled["triggers"]}
    queues = re.search(r"`DERMIS_WORKER_QUEUES` \| `([a-z,]+)`", (ROOT / "docs/reference/settings.md").read_text())
    assert queues is not None
    owners = {
        f"cases{place}": f"cases.{place}" for place in (2, 4, 8, 16)
    }  # of those who have more than one case waiting
    assert keys == {"running": "unacked"} | {queue: queue for queue in queues[1].split(",")} | owners
    assert set(scaled["advanced"]["scalingModifiers"]["formula"].split(" + ")) == set(keys)
    assert sorted(scaled["advanced"]["scalingModifiers"]["formula"].split(" + ")) == sorted(keys)
    assert [each["metadata"]["name"] for each in rendered("gpu-prod").of("HorizontalPodAutoscaler")] == [
        "dermis-gateway"
    ]


def test_without_keda_workers_follow_the_cpu(rendered: Callable[..., Render]) -> None:
    render = rendered("default")
    assert render.of("ScaledObject") == []
    assert sorted(each["metadata"]["name"] for each in render.of("HorizontalPodAutoscaler")) == [
        "dermis-gateway",
        "dermis-worker",
    ]


def test_what_an_autoscaler_sets_the_chart_does_not(each: Render) -> None:
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for each in [*each.of("HorizontalPodAutoscaler"), *each.of("ScaledObject")]
    }
    assert {pod["metadata"]["name"] for pod in each.of("Deployment") if "replicas" not in pod["spec"]} == scaled


def test_a_bucket_needs_no_volume_and_a_right_without_a_key(rendered: Callable[..., Render]) -> None:
    render = rendered("gpu-prod")
    assert render.of("PersistentVolumeClaim") == []
    assert render.of("ServiceAccount")[0]["metadata"]["annotations"] == {
        "iam.gke.io/gcp-service-account": "dermis@project.iam.gserviceaccount.com"
    }
    assert not [
        name for name, each in render.containers() for mount in each["volumeMounts"] if mount["name"] == "store"
    ]
    assert render.pods()["serving"]["containers"][0]["args"] == [
        "--model_config_file=gs://bucket/dermis/models/models.config"
    ]
    anonymous = rendered("gpu-prod", {"store": {"url": "gs://bucket/dermis?anonymous=true"}})
    assert anonymous.pods()["serving"]["containers"][0]["args"] == [
        "--model_config_file=gs://bucket/dermis/models/models.config"
    ]


def test_an_external_redis_is_reached_with_its_password(rendered: Callable[..., Render]) -> None:
    render = rendered("external-redis")
    assert "redis" not in render.pods()
    env = render.env("worker")
    assert env["DERMIS_BROKER_URL"] == "rediss://:$(REDIS_PASSWORD)@redis.example.org:6380/0"
    assert env["REDIS_PASSWORD"] == {"secretKeyRef": {"name": "dermis-redis", "key": "password"}}
    assert list(env).index("REDIS_PASSWORD") < list(env).index("DERMIS_BROKER_URL")  # or it would not be put in
    rules = render.one("NetworkPolicy", "worker")["spec"]["egress"]
    assert {"ports": [{"port": 6380}], "to": [{"ipBlock": {"cidr": "10.20.0.0/24"}}]} in rules
    trigger = render.one("ScaledObject", "worker")["spec"]["triggers"][0]
    assert trigger["metadata"]["address"] == "redis.example.org:6380"
    assert trigger["metadata"]["enableTLS"] == "true"
    assert render.one("TriggerAuthentication", trigger["authenticationRef"]["name"].removeprefix("dermis-"))


def test_a_training_job_is_there_to_start_by_hand_and_outlives_a_spot_node(each: Render) -> None:
    cron = each.one("CronJob", "trainer")["spec"]
    job = cron["jobTemplate"]["spec"]
    assert cron["suspend"] is True
    assert job["backoffLimit"] > 0
    assert {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]} in job[
        "podFailurePolicy"
    ]["rules"]
    ends = next(rule for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob")
    assert ends["onExitCodes"]["values"] == [2, 3], "all else is tried again"


def test_a_training_job_that_was_given_gpus_refuses_to_go_on_without(rendered: Callable[..., Render]) -> None:
    assert rendered("gpu-prod").env("trainer")["DERMIS_TRAINER_GPUS"] == "1"
    assert "DERMIS_TRAINER_GPUS" not in rendered("cpu-dev").env("trainer")


def test_a_training_job_made_by_hand_outlives_the_third_that_follows(each: Render) -> None:
    cron = each.one("CronJob", "trainer")["spec"]
    assert min(cron["successfulJobsHistoryLimit"], cron["failedJobsHistoryLimit"]) >= 20


def test_the_ingress_belongs_to_no_controller(rendered: Callable[..., Render]) -> None:
    ingress: Manifest = {"enabled": True, "host": "a.org"}
    network = {"clientNamespace": {"team": "edge"}}
    plain = rendered("default", {"ingress": ingress, "network": network}).one("Ingress", "gateway")
    assert "ingressClassName" not in plain["spec"]
    assert "annotations" not in plain["metadata"]
    ingress |= {"className": "nginx", "annotations": {"nginx.org/client-max-body-size": "61m"}}
    named = rendered("default", {"ingress": ingress, "network": network}).one("Ingress", "gateway")
    assert named["spec"]["ingressClassName"] == "nginx"
    assert named["metadata"]["annotations"] == ingress["annotations"]


def test_the_largest_body_that_is_documented_holds_three_whole_images() -> None:
    limits = re.findall(r"`(\d+)m`", (ROOT / "docs/how-to/kubernetes.md").read_text())
    image = re.search(r"`DERMIS_GATEWAY_MAX_IMAGE_BYTES` \| `(\d+)`", (ROOT / "docs/reference/settings.md").read_text())
    assert image is not None
    assert limits
    assert all(3 * int(image[1]) < int(limit) * 2**20 < 4 * int(image[1]) for limit in limits)


@pytest.mark.parametrize("way", [{"httpRoute": {"enabled": True}}, {"ingress": {"enabled": True, "host": "a.org"}}])
def test_a_way_in_that_no_policy_opens_is_refused(rendered: Callable[..., Render], way: Manifest) -> None:
    with pytest.raises(Exception, match=r"network.clientNamespace, network.clientCidrs: both are empty"):
        rendered("default", way)
    rendered("default", way | {"network": {"clientCidrs": ["10.0.0.0/8"]}})
    rendered("default", way | {"network": {"policies": False}})


@pytest.mark.parametrize("name", ["gpu-prod", "external-redis"])
def test_the_gateway_believes_the_proxies_of_the_way_in(rendered: Callable[..., Render], name: str) -> None:
    proxies = rendered(name).env("gateway")["DERMIS_GATEWAY_TRUSTED_PROXIES"]
    assert proxies == {"gpu-prod": "2", "external-redis": "1"}[name]
    assert "DERMIS_GATEWAY_TRUSTED_PROXIES" not in rendered("default").env("gateway")


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"gatway": {"replicas": 2}}, "gatway"),
        ({"gateway": {"replica": 2}}, "replica"),
        ({"worker": {"autoscaling": {"kedda": True}}}, "kedda"),
        ({"worker": {"settings": {"DERMIS_WORKER_SOFT_TIME_LIMIT": 3}}}, "DERMIS_WORKER_SOFT_TIME_LIMIT"),
        ({"serving": {"kind": "triton"}}, "kind"),
        ({"traces": {"url": "collector:4318"}}, "url"),
        ({"store": {"url": "s3://bucket"}}, "url"),
        ({"gateway": {"tolerations": [{"keys": "a"}]}}, "keys"),
        ({"redis": {"external": {"port": 0}}}, "port"),
    ],
)
def test_a_typo_is_refused_by_name(rendered: Callable[..., Render], changes: Manifest, named: str) -> None:
    with pytest.raises(Exception, match=named):
        rendered("default", changes)


def test_the_page_is_told_how_long_the_sweep_keeps_cases(rendered: Callable[..., Render]) -> None:
    render = rendered(
        "default", {"sweep": {"settings": {"DERMIS_SWEEP_RETENTION_DAYS": 7, "DERMIS_SWEEP_AUDIT_DAYS": 9}}}
    )
    assert (
        render.env("gateway")["DERMIS_SWEEP_RETENTION_DAYS"]
        == render.env("sweep")["DERMIS_SWEEP_RETENTION_DAYS"]
        == "7"
    )
    assert "DERMIS_SWEEP_AUDIT_DAYS" not in render.env("gateway")


@pytest.mark.parametrize("part", ["gateway", "worker", "metadata", "serving", "sweep"])
def test_a_part_gets_each_variable_from_the_chart_or_from_its_settings(
    rendered: Callable[..., Render], part: str
) -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    fields = set(
        re.findall(
            rf"^\| `(DERMIS_{part.upper()}_\w+)`",
            page.partition(f"\n## {part}\n")[2].partition("\n## ")[0],
            re.MULTILINE,
        )
    )
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())["properties"]
    settable = schema[part]["properties"]["settings"]["propertyNames"]["enum"]
    may_be_replaced = {"DERMIS_GATEWAY_ALLOWED_HOSTS"}  # by those of a way in that the chart does not make
    set_by_the_chart = [name for name in rendered("default").env(part) if name in fields - may_be_replaced]
    assert sorted([*settable, *set_by_the_chart]) == sorted(fields)


def test_settings_reach_the_part(rendered: Callable[..., Render]) -> None:
    assert (
        rendered("default", {"worker": {"settings": {"DERMIS_WORKER_QUEUES": "cases"}}}).env("worker")[
            "DERMIS_WORKER_QUEUES"
        ]
        == "cases"
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_finds_nothing_to_say(name: str) -> None:
    import helm_python

    report = helm_python.lint(CHART, example(name), strict=True)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] >= 2] == []


def test_the_chart_has_the_projects_version() -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert version is not None
    assert chart["version"] == chart["appVersion"] == version[1]


def test_the_chart_has_the_projects_icon_and_names_who_keeps_it() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    kind, _, data = chart["icon"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (ROOT / "services/gateway/src/dermis/gateway/web/assets/icon.svg").read_bytes()
    assert chart["maintainers"] == [{"name": "The dermis maintainers"}]


def test_a_training_has_shared_memory_and_asks_for_the_disk_it_may_fill(rendered: Callable[..., Render]) -> None:
    pod = rendered("default", {"trainer": {"sharedMemory": "4Gi"}}).pods()["trainer"]
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}} in pod["volumes"]
    (container,) = pod["containers"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]  # noqa: S108
    (scratch,) = (volume for volume in pod["volumes"] if volume["name"] == "tmp")
    assert container["resources"]["requests"]["ephemeral-storage"] == scratch["emptyDir"]["sizeLimit"]


def test_what_is_rendered_and_committed_is_fresh() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/render_k8s.py", "--check"], check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("version", ["1.29", "1.32", "1.37"])
@pytest.mark.parametrize(
    "file",
    sorted(
        [
            *ROOT.glob("tests/charts/golden/*.yaml"),
            *ROOT.glob("k8s/base/[!k]*.yaml"),
            *ROOT.glob("k8s/claim/[!k]*.yaml"),
        ]
    ),
    ids=lambda file: file.stem,
)
def test_kubernetes_takes_it(file: Any, version: str) -> None:
    import kubernetes_validate

    own = (
        "keda.sh/",
        "monitoring.coreos.com/",
        "gateway.networking.k8s.io/",
        "networking.gke.io/",
    )  # not Kubernetes' own kinds: no schema is to be had
    for manifest in yaml.safe_load_all(file.read_text()):
        if not manifest["apiVersion"].startswith(own):
            kubernetes_validate.validate(manifest, version, strict=True)


# --- a chart among charts ---------------------------------------------------------------------------------------------

POD_OPTIONS = {
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "podLabels": {"team": "skin"},
    "podAnnotations": {"linkerd.io/inject": "enabled"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_takes_what_operators_add_to_pods(rendered: Callable[..., Render], part: str) -> None:
    render = rendered("default", {part: POD_OPTIONS})
    (owner,) = (
        each
        for each in render.objects
        if each["kind"] in ("Deployment", "CronJob") and each["metadata"]["name"] == f"dermis-{part}"
    )
    spec = owner["spec"] if owner["kind"] == "Deployment" else owner["spec"]["jobTemplate"]["spec"]
    template, pod = spec["template"], spec["template"]["spec"]
    assert template["metadata"]["labels"]["team"] == "skin"
    assert template["metadata"]["annotations"] == POD_OPTIONS["podAnnotations"]
    assert (pod["affinity"], pod["priorityClassName"]) == (POD_OPTIONS["affinity"], "high")
    assert {"name": "ca", "configMap": {"name": "ca"}} in pod["volumes"]
    (container,) = pod["containers"]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]
    assert {"name": "ca", "mountPath": "/ca"} in container["volumeMounts"]


def test_a_parent_chart_may_hand_down_its_globals(rendered: Callable[..., Render]) -> None:
    digest = f"sha256:{'a' * 64}"
    changes = {
        "global": {"imageRegistry": "mirror.example.org/d", "other": 1},
        "image": {"digests": {"worker": digest}},
    }
    pods = rendered("default", changes).pods()
    assert pods["gateway"]["containers"][0]["image"].startswith("mirror.example.org/d/dermis-gateway:")
    assert pods["worker"]["containers"][0]["image"] == f"mirror.example.org/d/dermis-worker@{digest}"


def test_what_runs_on_gpus_has_an_image_of_its_own(rendered: Callable[..., Render]) -> None:
    """The trainer's image for processors would train without the GPU that it asks for, or refuse."""
    pods = rendered("gpu-prod").pods()
    images = {part: pod["containers"][0]["image"].rpartition("/")[2] for part, pod in pods.items()}
    assert {part for part, image in images.items() if image.endswith("-gpu")} == {"serving", "trainer"}
    assert not [1 for pod in rendered("cpu-dev").pods().values() if pod["containers"][0]["image"].endswith("-gpu")]


def test_names_can_be_set_and_are_never_too_long(rendered: Callable[..., Render]) -> None:
    longest = rendered("default", name_of_release="r" * 53)
    assert all(len(each["metadata"]["name"]) <= 63 for each in longest.objects)
    assert all(len(each["metadata"]["name"]) <= 52 for each in longest.of("CronJob"))
    names = [each["metadata"]["name"] for each in rendered("default", {"fullnameOverride": "skin"}).of("Deployment")]
    assert names
    assert all(name.startswith("skin-") for name in names)
    named = rendered("default", {"nameOverride": "skin"}, name_of_release="r").of("Deployment")[0]
    assert named["metadata"]["name"].startswith("r-skin-")
    assert named["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == "skin"


def test_more_objects_are_templates(rendered: Callable[..., Render]) -> None:
    more = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: {{ .Release.Name }}-text }"
    objects = rendered("default", {"extraObjects": [more, text]}).of("ConfigMap")
    assert [each["metadata"]["name"] for each in objects] == ["dermis-more", "dermis-text"]


def test_callers_may_come_from_addresses_and_names_from_another_namespace(rendered: Callable[..., Render]) -> None:
    dns = {"namespace": {"kubernetes.io/metadata.name": "dns"}, "cidrs": []}
    render = rendered("default", {"network": {"clientCidrs": ["10.8.0.0/16"], "dns": dns}})
    rules = render.one("NetworkPolicy", "gateway")["spec"]
    assert {"from": [{"ipBlock": {"cidr": "10.8.0.0/16"}}], "ports": [{"port": 8080}]} in rules["ingress"]
    (names,) = (rule for rule in rules["egress"] if rule["ports"][0]["port"] == 53)
    assert names["to"] == [{"namespaceSelector": {"matchLabels": dns["namespace"]}}]


@pytest.mark.parametrize("name", ["cpu-dev", "gpu-prod", "external-redis"])
def test_callers_of_another_namespace_may_call_the_service_by_its_name(
    rendered: Callable[..., Render], name: str
) -> None:
    render = rendered(name)
    hosts = render.env("gateway")["DERMIS_GATEWAY_ALLOWED_HOSTS"].split(",")
    service = render.one("Service", "gateway")["metadata"]
    in_cluster = f"{service['name']}.{service['namespace']}"
    assert {in_cluster, f"{in_cluster}.svc", f"{in_cluster}.svc.cluster.local"} <= set(hosts)
    outside = {"cpu-dev": [], "gpu-prod": ["dermis.example.org"], "external-redis": ["dermis.example.org"]}[name]
    assert hosts[3:] == outside


def test_alerts_and_dashboard_come_with_the_chart(rendered: Callable[..., Render]) -> None:
    changes = {"monitoring": {"rules": True, "dashboard": True, "serviceMonitor": True, "labels": {"release": "p"}}}
    render = rendered("default", changes)
    rule = render.one("PrometheusRule", "alerts")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert rule["metadata"]["labels"]["release"] == "p"
    board = render.one("ConfigMap", "dashboard")
    assert json.loads(board["data"]["dermis.json"]) == json.loads((CHART / "files" / "dashboard.json").read_text())
    jobs = {
        endpoint["relabelings"][0]["replacement"]
        for kind, key in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints"))
        for monitor in render.of(kind)
        for endpoint in monitor["spec"][key]
    }
    assert jobs == {f"dermis-{part}" for part in ("gateway", "worker", "metadata", "serving", "sweep")}, (
        "the alert DermisPartDown looks for these"
    )


def test_alerts_and_dashboard_lead_to_the_runbooks_where_they_are_published(rendered: Callable[..., Render]) -> None:
    base = "https://docs.example.org/runbooks"
    render = rendered("default", {"monitoring": {"rules": True, "dashboard": True, "runbookBaseUrl": f"{base}/"}})
    groups = render.one("PrometheusRule", "alerts")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert [rule["annotations"]["runbook_url"] for rule in alerts] == [f"{base}/{rule['alert']}/" for rule in alerts]
    board = render.one("ConfigMap", "dashboard")["data"]["dermis.json"]
    assert f'"url": "{base}/DermisErrors/"' in board
    assert "docs/runbooks/Dermis" not in board


def cores(render: Render, *, but: str = "") -> float:
    """Return the cores that all pods ask for, with the trainer's one Job, of as many pods as there are at first."""
    total = 0.0
    for each in render.objects:
        spec = each.get("spec") or {}
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
        part = each["metadata"]["labels"].get("app.kubernetes.io/component") if template else but
        if part == but:
            continue
        asked = str(template["spec"]["containers"][0]["resources"]["requests"]["cpu"])
        one = float(asked[:-1]) / 1000 if asked.endswith("m") else float(asked)
        total += one * (spec.get("replicas") or (2 if each["kind"] == "Deployment" else 1))
    return total


def test_what_pods_ask_for_is_near_what_they_were_measured_to_use(rendered: Callable[..., Render]) -> None:
    """About 0.07 core seconds a case: 0.8 cores at 12 cases a second (docs/reference/benchmarks.md)."""
    assert cores(rendered("default"), but="trainer") < 3


def test_a_node_of_two_cores_holds_the_small_example_and_a_training(rendered: Callable[..., Render]) -> None:
    """What is left is for the cluster's own pods."""
    assert cores(rendered("cpu-dev")) <= 1.5


def test_notes_say_how_to_begin_and_what_an_uninstall_leaves(rendered: Callable[..., Render]) -> None:
    notes = rendered("default").texts["NOTES.txt"]
    assert "dermis keys create" in notes
    assert "volume claim of the store stays" in notes
    assert "ends a training that runs" in notes
    assert "bucket stays" in rendered("gpu-prod").texts["NOTES.txt"]


def test_helm_test_reaches_the_gateway_through_a_policy_of_its_own(rendered: Callable[..., Render]) -> None:
    render = rendered("default")
    pod, policy = yaml.safe_load_all(render.texts["ready.yaml"])
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": pod["metadata"]["labels"]}}]
    gateway = render.one("Deployment", "gateway")["spec"]["selector"]
    assert policy["spec"]["podSelector"] == gateway
    assert all(each["metadata"]["annotations"]["helm.sh/hook"] == "test" for each in (pod, policy))
    assert "except OSError" in pod["spec"]["containers"][0]["command"][-1], "a policy is in force a moment later"


def test_redis_takes_no_more_than_it_may_and_is_ready_when_it_answers(rendered: Callable[..., Render]) -> None:
    container = rendered("default").pods()["redis"]["containers"][0]
    arguments = container["args"]
    assert arguments[arguments.index("--maxmemory") + 1] == "400mb"
    assert arguments[arguments.index("--maxmemory-policy") + 1] == "noeviction"
    assert "PONG" in container["readinessProbe"]["exec"]["command"][-1]


ALWAYS = {
    "spread over zones and nodes": "topologySpreadConstraints",
    "non-root, read-only root, no capabilities, seccomp": "readOnlyRootFilesystem: true",
    "no service-account token in pods": "automountServiceAccountToken: false",
    "probes: start, life, readiness": "startupProbe",
    "disruption budgets": "kind: PodDisruptionBudget",
    "a kind that the cluster lacks is refused in words": "this cluster does not know",
    "values held to a schema": '"additionalProperties": false',
    "data kept on uninstall": "helm.sh/resource-policy: keep",
    "notes after an install": "dermis keys create",
    "`helm test`, or a check of the install": "helm.sh/hook: test",
    "README made of the values": "| `worker.replicas` |",
    "names of at most 63 letters": "trunc 43",
    "replicas left to an autoscaler": "dermis.replicas",
    "a change that would fail is refused in words": "a StatefulSet's volume can't be changed",
}
"""What stands in the template of a row that can't be switched off."""


def test_each_row_of_the_operators_table_names_a_template_and_values_that_are_there() -> None:
    page = (ROOT / "docs/reference/chart.md").read_text()
    rows = re.findall(r"^\| .*? \| \[.*?\]\((.*?)\) \| (.*?) \|", page, re.MULTILINE)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert len(rows) > 25
    for title, link, named in re.findall(r"^\| (.*?) \| \[.*?\]\((.*?)\) \| (.*?) \|", page, re.MULTILINE):
        if named == "always":
            assert ALWAYS[title] in (ROOT / "docs/reference" / link).read_text(), title
    for link, named in rows:
        template = ROOT / "docs/reference" / link
        text = template.read_text()
        for path in re.findall(r"`(.*?)`", named):
            value: Any = values | {"global": {"imageRegistry": ""}}  # which a parent chart hands down
            for key in path.split("."):
                value = value[key]
            last = path.rpartition(".")[2]
            assert re.search(rf"\b{last}\b", text) or last in (CHART / "templates/_helpers.tpl").read_text(), (
                path,
                link,
            )


def test_webhooks_have_pods_of_their_own_that_call_public_addresses_alone(rendered: Callable[..., Render]) -> None:
    assert "webhooks" not in rendered("default").pods()
    values = {"webhooks": {"enabled": True, "networks": ["10.1.0.0/16"], "ports": [443, 8443]}}
    render = rendered("default", values)
    assert render.env("webhooks")["DERMIS_WORKER_QUEUES"] == "webhooks"
    for part in ("webhooks", "gateway"):
        assert render.env(part)["DERMIS_WORKER_WEBHOOK_NETWORKS"] == "10.1.0.0/16"
    assert ("webhooks", "redis", 6379) in arrows(render.of("NetworkPolicy"), "Ingress")
    egress = render.one("NetworkPolicy", "webhooks")["spec"]["egress"]
    (receivers,) = (rule for rule in egress if {"port": 8443} in rule.get("ports", []))
    blocks = [peer["ipBlock"] for peer in receivers["to"]]
    assert "169.254.0.0/16" in blocks[0]["except"]
    assert blocks[-1] == {"cidr": "10.1.0.0/16"}
    for policy in render.of("NetworkPolicy"):
        if policy["metadata"]["name"] != "dermis-webhooks":
            assert "0.0.0.0/0" not in str(policy)


# --- jobs by the clock ------------------------------------------------------------------------------------------------

BACKUP: Manifest = {"enabled": True, "url": "file:///backup/dermis", "existingClaim": "elsewhere"}


def test_no_job_runs_by_the_clock_unless_it_is_enabled(rendered: Callable[..., Render]) -> None:
    assert rendered("default").pods().keys().isdisjoint(JOBS)


def test_a_backup_goes_to_a_claim_or_to_a_bucket_and_nowhere_else(rendered: Callable[..., Render]) -> None:
    render = rendered("default", {"backup": BACKUP})
    pod = render.pods()["backup"]
    assert {"name": "backup", "persistentVolumeClaim": {"claimName": "elsewhere"}} in pod["volumes"]
    (container,) = pod["containers"]
    assert {"name": "backup", "mountPath": "/backup"} in container["volumeMounts"]
    assert (container["command"], container["args"]) == (["dermis"], ["backup", BACKUP["url"], "--states", "7"])
    assert render.env("backup").keys() == {"DERMIS_STORE_URL", "DERMIS_LOG_LEVEL"}
    policy = render.one("NetworkPolicy", "backup")["spec"]
    assert "ingress" not in policy
    assert [rule["ports"][0]["port"] for rule in policy["egress"]] == [53]
    to_bucket = rendered("default", {"backup": {"enabled": True, "url": "gs://elsewhere/dermis", "states": 30}})
    policy = to_bucket.one("NetworkPolicy", "backup")["spec"]
    assert [rule["ports"][0]["port"] for rule in policy["egress"]] == [53, 443, 80]
    assert not [volume for volume in to_bucket.pods()["backup"]["volumes"] if volume["name"] == "backup"]


def test_versions_on_trial_are_judged_and_ended(rendered: Callable[..., Render]) -> None:
    render = rendered("default", {"judge": {"enabled": True, "waive": ["monk_bin", "monk_bin=MST_7_10"]}})
    (container,) = render.pods()["judge"]["containers"]
    waived = ["--waive", "monk_bin", "--waive", "monk_bin=MST_7_10"]
    assert container["args"] == ["models", "judge", "--end", *waived]
    assert [rule["ports"][0]["port"] for rule in render.one("NetworkPolicy", "judge")["spec"]["egress"]] == [53]


@pytest.mark.parametrize("part", sorted(JOBS))
def test_a_job_that_ends_the_same_way_again_is_not_tried_again(rendered: Callable[..., Render], part: str) -> None:
    render = rendered("default", {"backup": BACKUP, "judge": {"enabled": True}})
    cron = render.one("CronJob", part)["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    (_, codes) = cron["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert codes["onExitCodes"] == {"containerName": part, "operator": "In", "values": [2, 3]}


@pytest.mark.parametrize("part", sorted(JOBS))
def test_a_job_takes_what_operators_add_to_pods(rendered: Callable[..., Render], part: str) -> None:
    values = {"backup": BACKUP, "judge": {"enabled": True}}
    render = rendered("default", {part: POD_OPTIONS | values[part]})
    template = render.one("CronJob", part)["spec"]["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "skin"
    (container,) = template["spec"]["containers"]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]
    assert {"name": "ca", "mountPath": "/ca"} in container["volumeMounts"]
    assert template["spec"]["priorityClassName"] == "high"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"backup": {"enabled": True}}, "backup.url"),
        ({"backup": {"enabled": True, "url": "file:///backup"}}, "backup.existingClaim"),
        (
            {"store": {"url": "gs://b/dermis"}, "backup": {"enabled": True, "url": "gs://b/dermis/backup"}},
            "lies in the store",
        ),
        ({"backup": {"enabled": True, "url": "s3://b/dermis"}}, "url"),
        ({"judge": {"enabled": True, "waive": ["--first"]}}, "waive"),
    ],
)
def test_a_job_that_would_do_nothing_is_refused(rendered: Callable[..., Render], changes: Manifest, named: str) -> None:
    with pytest.raises(Exception, match=named):
        rendered("default", changes)
