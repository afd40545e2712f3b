"""A store that is almost full takes no new case and erases as ever; a submit that takes too long loses nothing."""

from typing import Any

import pytest

from dermis.gateway.core.admission import too_little
from dermis.shared.case import Consent, fact_key, image_key, open_key
from dermis.shared.erasing import retention_key
from dermis.shared.ports import Room


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (Room(bytes=100, inodes=10), False),
        (Room(bytes=99, inodes=10), True),
        (Room(bytes=100, inodes=9), True),
        (Room(bytes=100, inodes=None), False),
    ],
)
def test_the_watermark_is_of_bytes_and_of_inodes(room: Room, expected: bool) -> None:
    assert too_little(room, least_bytes=100, least_inodes=10) is expected


@pytest.mark.parametrize("room", [Room(bytes=1024**3 - 1, inodes=None), Room(bytes=1024**4, inodes=9_999)])
def test_an_almost_full_store_takes_no_new_case_and_erases_the_old(gateway: Any, jpeg: bytes, room: Room) -> None:
    case_id = gateway.submit(jpeg).json()["id"]
    gateway.store.room = lambda: room
    response = gateway.submit(jpeg)
    assert (response.status_code, response.json()["reason"]) == (507, "STORE_FULL")
    assert response.headers["retry-after"]
    assert "erased" in response.json()["detail"]
    assert gateway.call("GET", f"/v1/cases/{case_id}").status_code == 200
    assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 204


def test_what_was_taken_for_lost_while_the_gateway_was_stopped_is_put_again(gateway: Any, jpeg: bytes) -> None:
    """Before the last fact comes the sweep removes everything, and its own tombstone."""
    put_once = gateway.store.put_once

    def stopped(key: str, data: bytes, **more: Any) -> bool:
        if key.endswith("/received.json"):
            gateway.store.put_once = put_once
            for each in list(gateway.store.list("")):
                gateway.store.delete(each)
        return bool(put_once(key, data, **more))

    gateway.store.put_once = stopped
    case_id = gateway.submit(jpeg).json()["id"]
    wanted = {
        open_key(case_id),
        image_key("public", case_id, 1, "original"),
        fact_key("public", case_id, "received"),
        retention_key(Consent.ASSESS_ONLY, case_id),
    }
    assert set(gateway.keys) == wanted


def test_a_case_that_is_taken_back_at_that_moment_is_not_accepted(gateway: Any, jpeg: bytes) -> None:
    put_once = gateway.store.put_once

    def stopped(key: str, data: bytes, **more: Any) -> bool:
        if key.endswith("/received.json"):
            put_once(key.replace("received", "erased"), b"{}")
        return bool(put_once(key, data, **more))

    gateway.store.put_once = stopped
    response = gateway.submit(jpeg)
    assert (response.status_code, response.json()["reason"]) == (503, "TAKEN_BACK")
    assert [key for key in gateway.keys if not key.endswith("/erased.json")] == []
