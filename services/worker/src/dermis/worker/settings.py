import os
from pathlib import Path

from pydantic import Field, model_validator

from dermis.shared.jobs import CASES_QUEUE, CASES_QUEUES, WEBHOOKS_QUEUE
from dermis.shared.settings import LISTEN, WebhookSettings


class WorkerSettings(WebhookSettings):
    concurrency: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="cases that are worked on at once; one more process is for who has no other case in work",
    )
    queues: str = Field(
        "cases,scratch,shards,batches",
        pattern="^(webhooks|(cases|scratch|shards|batches)(,(cases|scratch|shards|batches))*)$",
        description="where work is taken from; profiles of images (shards) and batches can have workers of their own, "
        "webhooks alone must, as it waits for receivers",
    )
    memory_limit_bytes: int = Field(
        1536 * 1024 * 1024,
        ge=0,
        description="data that each of these processes may hold; an image that needs more can't be read; 0: no limit",
    )
    soft_time_limit_seconds: float = Field(
        20,
        gt=0,
        description="a case that computes for longer fails; one that waits for longer is left open and gone on with "
        "later",
    )
    hard_time_limit_seconds: float = Field(
        25, gt=0, description="a process that computes or waits for longer is killed, and the case tried again"
    )
    visibility_timeout_seconds: float = Field(
        30, gt=0, description="an unfinished job of a lost worker is given to another after this time"
    )
    decode_cpu_seconds: float = Field(
        10,
        gt=0,
        description="processor time that one image may take to decode, above what its header lets expect; the case "
        "then fails at once",
    )
    max_redeliveries: int = Field(
        2, ge=0, description="a case whose worker is lost more often while it looks at the images fails"
    )
    give_up_after_seconds: float = Field(
        86_400, gt=0, description="a case that could not be finished for so long fails"
    )
    skin_gate: bool = Field(
        True,
        description="refuse photos that show no skin before any model sees them; without it a cat gets a differential",
    )
    metadata_deadline_seconds: float = Field(2, gt=0, description="longest wait for features")
    answer_unmeasured: bool = Field(
        False,
        description="answer people of a skin type for which the model was not measured, with a warning; else abstain",
    )
    serving_deadline_seconds: float = Field(10, gt=0, description="longest wait for a prediction")
    webhook_threads: int = Field(
        16, ge=1, le=256, description="webhooks that are delivered at once; one endpoint takes 8 at most"
    )
    webhook_seconds: float = Field(10, gt=0, le=25, description="time in which a receiver must have answered")
    candidate_deadline_seconds: float = Field(
        3,
        gt=0,
        description="longest wait for a prediction of a canary, after which the current version answers, or a shadow",
    )
    alive_file: Path | None = Field(
        None, description="a file that is touched every 5 s while jobs are taken, for probes"
    )

    metrics_listen: str = Field("", pattern=LISTEN, description="host:port to show metrics on; empty: nowhere")

    @model_validator(mode="after")
    def _in_order(self) -> "WorkerSettings":
        if not self.soft_time_limit_seconds < self.hard_time_limit_seconds < self.visibility_timeout_seconds:
            raise ValueError(
                "soft time limit < hard time limit < visibility timeout must hold, or a running case is given away"
            )
        return self

    @property
    def delivers(self) -> bool:
        """Whether this worker delivers webhooks, and nothing else."""
        return self.queues == WEBHOOKS_QUEUE

    @property
    def processes(self) -> int:
        """One is kept free for cases; a worker of other queues alone needs none. For webhooks, its threads."""
        if self.delivers:
            return self.webhook_threads
        return self.concurrency + (CASES_QUEUE in self.queues.split(","))

    @property
    def celery_queues(self) -> tuple[str, ...]:
        return tuple(
            name for queue in self.queues.split(",") for name in (CASES_QUEUES if queue == CASES_QUEUE else (queue,))
        )
