"""Clients that do what the API asks of them.

They send an Idempotency-Key, and the same request again after a lost connection or a 503.
"""

import queue
import random
import threading
import time
from dataclasses import dataclass, field

import cv2
import httpx

from dermis.standalone import demo

LONGEST_SIDE = 320
"""Of the images, in pixels: 500 cases of one image fit 64 MB."""
RETRIED = (429, 503, 507)
GIVE_UP_S = 900
"""Longer than the longest fault: a gateway that is stopped for 630 s."""


def small_images() -> list[bytes]:
    """Return the demo case's images, small."""
    images = []
    for path in sorted(demo.CASE.glob("*.jpg")):
        image = cv2.imread(str(path))
        assert image is not None
        scale = LONGEST_SIDE / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        images.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return images


@dataclass
class Clients:
    """What was asked of the system and how it answered; shared by all threads."""

    url: str
    seed: int
    images: list[bytes] = field(default_factory=small_images)
    accepted: dict[str, str] = field(default_factory=dict)
    """Case id by Idempotency-Key, from the first 202 or 200 on."""
    surprises: list[str] = field(default_factory=list)
    retries: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    todo: "queue.Queue[str]" = field(default_factory=queue.Queue)

    def start(self, threads: int) -> None:
        for _ in range(threads):
            threading.Thread(target=self._work, daemon=True).start()

    def submit(self, key: str, http: httpx.Client) -> str:
        """Return the case's id once it is accepted; "" if it never was, which is a surprise."""
        chance = random.Random(f"{self.seed}/{key}")  # noqa: S311
        files = {"images": ("image.jpg", self.images[chance.randrange(len(self.images))], "image/jpeg")}
        deadline = time.monotonic() + GIVE_UP_S
        while not self.stop.is_set() and time.monotonic() < deadline:
            answer = self._try(
                http, "POST", "/v1/cases", files=files, data={"self_report": "{}"}, headers={"Idempotency-Key": key}
            )
            if answer is not None and answer.status_code in (200, 202):
                case_id = str(answer.json()["id"])
                self.accepted[key] = case_id
                return case_id
            self.stop.wait(chance.uniform(0.2, 1.0))
        if not self.stop.is_set():
            self.surprises.append(f"{key}: not accepted within {GIVE_UP_S} s")
        return ""

    def erase(self, case_id: str, http: httpx.Client) -> None:
        deadline = time.monotonic() + GIVE_UP_S
        while not self.stop.is_set() and time.monotonic() < deadline:
            answer = self._try(http, "DELETE", f"/v1/cases/{case_id}")
            if answer is not None and answer.status_code == 204:
                return
            self.stop.wait(0.2)
        self.surprises.append(f"{case_id}: DELETE not answered 204 within {GIVE_UP_S} s")

    def finished(self, case_id: str, http: httpx.Client) -> bool:
        answer = self._try(http, "GET", f"/v1/cases/{case_id}")
        return answer is not None and answer.status_code == 200 and answer.json()["status"] == "FINISHED"

    def _work(self) -> None:
        with httpx.Client(base_url=self.url, timeout=15) as http:
            while not self.stop.is_set():
                try:
                    key = self.todo.get(timeout=0.2)
                except queue.Empty:
                    continue
                try:
                    self.submit(key, http)
                except Exception as fault:  # noqa: BLE001 - a client that dies would leave its cases out of the count
                    self.surprises.append(f"{key}: {fault!r}")
                finally:
                    self.todo.task_done()

    def _try(self, http: httpx.Client, method: str, path: str, **more: object) -> httpx.Response | None:
        """Return the answer, or None if it is one to try again; any other 5xx is a surprise, and tried again too."""
        try:
            answer = http.request(method, path, **more)  # type: ignore[arg-type]
        except httpx.TransportError:
            self.retries += 1
            return None
        if answer.status_code in RETRIED:
            self.retries += 1
            return None
        if answer.status_code >= 400:
            self.surprises.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return None
        return answer
