import pytest
from pydantic import Field

from dermis.shared.errors import DermisError, Kind
from dermis.shared.settings import RetentionSettings, Settings, load, names


class WorkerSettings(Settings):
    concurrency: int = Field(2, ge=1)


STORE = {"DERMIS_STORE_URL": "file:///srv/dermis"}


def faults(environ: dict[str, str], part: str = "WORKER") -> str:
    with pytest.raises(DermisError) as fault:
        load(WorkerSettings, part, environ)
    assert (fault.value.kind, fault.value.reason) == (Kind.INVALID, "SETTINGS")
    return fault.value.detail


def test_defaults_and_given_values() -> None:
    settings = load(
        WorkerSettings, "WORKER", {**STORE, "DERMIS_WORKER_CONCURRENCY": "3", "PATH": "/bin", "dermis_x": "1"}
    )
    assert settings.concurrency == 3
    assert settings.store_url == "file:///srv/dermis"
    assert (settings.metadata_address, settings.serving_address) == ("127.0.0.1:50051", "127.0.0.1:8500")
    assert settings.log_format == "json"


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://h",
        "redis://h:1/0",
        "rediss://u:p:w@x@h:1/15?ssl_cert_reqs=required",
        "redis://[::1]:6379/0",
    ],
)
def test_a_broker_that_is_understood(url: str) -> None:
    assert load(WorkerSettings, "WORKER", {**STORE, "DERMIS_BROKER_URL": url}).broker_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "foo",
        "localhost:6379",
        "unix:///s",
        "amqp://h",
        "redis://h:x/0",
        "redis://h:99999",
        "redis://h/zero",
        "redis://[h",
    ],
)
def test_a_broker_that_is_not_understood_is_told_with_what_would_be(url: str) -> None:
    assert f"DERMIS_BROKER_URL={url!r}: not understood; use redis://" in faults({**STORE, "DERMIS_BROKER_URL": url})


def test_a_fault_does_not_show_a_password() -> None:
    detail = faults({"DERMIS_STORE_URL": "gs://b/x?token=geheim", "DERMIS_BROKER_URL": "redis://u:geheim@h:port/0"})
    assert "DERMIS_BROKER_URL='redis://u:***@h:port/0'" in detail
    assert "geheim" not in detail


def test_common_variables_that_start_like_another_part_are_accepted() -> None:
    given = {"DERMIS_METADATA_ADDRESS": "metadata:50051", "DERMIS_SERVING_ADDRESS": "serving:8500"}
    settings = load(WorkerSettings, "WORKER", {**STORE, **given})
    assert (settings.metadata_address, settings.serving_address) == ("metadata:50051", "serving:8500")


def test_how_long_cases_are_kept_is_one_variable_for_whoever_asks() -> None:
    given = {**STORE, "DERMIS_SWEEP_RETENTION_DAYS": "7", "DERMIS_SWEEP_AUDIT_DAYS": "not checked here"}
    assert load(RetentionSettings, "GATEWAY", given) == load(
        RetentionSettings, "SWEEP", STORE | {"DERMIS_SWEEP_RETENTION_DAYS": "7"}
    )
    with pytest.raises(DermisError, match="DERMIS_SWEEP_RETENTION_DAYS='-1'"):
        load(RetentionSettings, "GATEWAY", {**STORE, "DERMIS_SWEEP_RETENTION_DAYS": "-1"})


def test_variables_of_other_parts_are_theirs_to_check() -> None:
    others = {"DERMIS_GATEWAY_PORT": "not a port", "DERMIS_METADATA_LISTEN": "x", "DERMIS_STANDALONE_ANYTHING": "1"}
    assert load(WorkerSettings, "WORKER", {**STORE, **others}) == load(WorkerSettings, "WORKER", STORE)


def test_all_faults_come_at_once_each_with_name_value_and_remedy() -> None:
    detail = faults(
        {
            "DERMIS_STORE_URL": "s3://bucket",
            "DERMIS_LOG_LEVEL": "LOUD",
            "DERMIS_WORKER_CONCURRENCY": "0",
            "DERMIS_WORKER_CONCURENCY": "4",
            "DERMIS_BROKER_ULR": "redis://redis:6379/0",
        }
    )
    assert "DERMIS_WORKER_CONCURENCY is not a setting; did you mean DERMIS_WORKER_CONCURRENCY?" in detail
    assert "DERMIS_BROKER_ULR is not a setting; did you mean DERMIS_BROKER_URL?" in detail
    assert "DERMIS_STORE_URL='s3://bucket'" in detail
    assert "use file:///folder, gs://bucket/prefix" in detail
    assert "DERMIS_LOG_LEVEL='LOUD'" in detail
    assert "(DEBUG|INFO|WARNING|ERROR)" in detail
    assert "DERMIS_WORKER_CONCURRENCY='0'" in detail
    assert detail.count("; DERMIS_") == 4


def test_a_missing_variable_is_named() -> None:
    assert "DERMIS_STORE_URL" in faults({})
    assert "Field required" in faults({})


def test_a_name_without_a_likeness_gets_the_list() -> None:
    detail = faults({**STORE, "DERMIS_COLOUR": "red"})
    assert "DERMIS_COLOUR is not a setting; known: " in detail
    assert "DERMIS_WORKER_CONCURRENCY" in detail


def test_each_field_has_one_variable() -> None:
    assert names(WorkerSettings, "WORKER") == {
        "DERMIS_STORE_URL": "store_url",
        "DERMIS_BROKER_URL": "broker_url",
        "DERMIS_METADATA_ADDRESS": "metadata_address",
        "DERMIS_SERVING_ADDRESS": "serving_address",
        "DERMIS_TRACES_URL": "traces_url",
        "DERMIS_LOG_LEVEL": "log_level",
        "DERMIS_LOG_FORMAT": "log_format",
        "DERMIS_WORKER_CONCURRENCY": "concurrency",
    }


def test_settings_are_not_changed_after_they_are_built() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(WorkerSettings, "WORKER", STORE).concurrency = 5  # type: ignore[misc]


def test_a_setting_of_an_earlier_version_is_refused_with_what_to_do() -> None:
    detail = faults({**STORE, "DERMIS_GATEWAY_MAX_IMAGE_PIXELS": "1"}, part="GATEWAY")
    assert "DERMIS_GATEWAY_MAX_IMAGE_PIXELS is no longer a setting: one limit holds for every route" in detail
