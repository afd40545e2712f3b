import hashlib
import json
import logging
import subprocess
import sys
import textwrap

import pytest

CODE = textwrap.dedent("""
    import logging, sys, warnings
    warnings.simplefilter("error")
    from dermis.shared.telemetry import configure_logs, log
    configure_logs(part="gateway", form=sys.argv[1])
    configure_logs(part="worker", level=sys.argv[2], form=sys.argv[1])
    log.debug("fine")
    log.info("case received", case_id="case_1", bytes=3)
    logging.getLogger("celery.worker").warning("lost %s", "x")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
        logging.getLogger("std").exception("failed too")
""")


def lines(form: str, level: str = "INFO") -> list[str]:
    result = subprocess.run([sys.executable, "-c", CODE, form, level], check=True, capture_output=True, text=True)
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_json_is_one_object_a_line_for_our_logs_and_the_librarys() -> None:
    events = [json.loads(line) for line in lines("json")]
    assert [event["event"] for event in events] == ["case received", "lost x", "failed", "failed too"]
    assert {event["part"] for event in events} == {"worker"}
    assert [event["level"] for event in events] == ["info", "warning", "error", "error"]
    assert all(event["timestamp"].endswith("Z") for event in events)
    assert (events[0]["case_id"], events[0]["bytes"]) == ("case_1", 3)
    assert all("ZeroDivisionError" in event["exception"] for event in events[2:])


CASE = "case_01k9x4q7e8f3rtw5m2c6b0dvza"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_case_is_named_by_its_digest_wherever_its_id_stands(form: str) -> None:
    code = (
        CODE.replace("case_1", CASE)
        .replace('"lost %s", "x"', f'"lost %s", "open/{CASE}"')
        .replace("1 / 0", f"{{}}['{CASE}'] if 0 else 1 / 0")
    )
    result = subprocess.run([sys.executable, "-c", code, form, "INFO"], check=True, capture_output=True, text=True)
    digest = hashlib.sha256(CASE.encode()).hexdigest()[:12]
    assert CASE not in result.stderr
    assert f"case#{digest}" in result.stderr
    assert f"open/case#{digest}" in result.stderr


def test_text_is_for_people() -> None:
    text = lines("text")
    assert sum("case received" in line for line in text) == 1
    assert sum("ZeroDivisionError: division by zero" in line for line in text) == 2
    assert not any(line.startswith("{") for line in text)


@pytest.mark.parametrize(("level", "count"), [("DEBUG", 5), ("WARNING", 3), ("ERROR", 2)])
def test_the_level_holds_for_both(level: str, count: int) -> None:
    assert len(lines("json", level)) == count


def test_importing_the_module_configures_nothing() -> None:
    import dermis.shared.telemetry  # noqa: F401

    assert not any(
        type(handler.formatter).__module__.startswith("structlog") for handler in logging.getLogger().handlers
    )
