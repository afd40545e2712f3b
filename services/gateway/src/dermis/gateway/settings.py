"""What may be set from outside: DERMIS_GATEWAY_<NAME>."""

from pydantic import Field

from dermis.shared.settings import Retention


class GatewaySettings(Retention):
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_image_bytes: int = Field(20 * 1024 * 1024, ge=1024, description="largest image, in bytes")
    max_upload_bytes: int = Field(
        256 * 1024 * 1024, ge=1, description="uploads that are read at a time, in bytes; more are refused with 503"
    )
    upload_seconds: float = Field(120, gt=0, description="longest time that one upload may take; a slower one is refused with 408")
    max_queue_depth: int = Field(1000, ge=1, description="waiting cases from which on new ones are refused with 503")
    max_queue_seconds: float = Field(
        15, gt=0, description="wait of the oldest of many waiting cases from which on new ones are refused with 503"
    )
    max_wait_seconds: float = Field(30, gt=0, description="longest wait that `Prefer: wait` gets")
    judge_seconds: float = Field(10, gt=0, description="time that a worker gets to judge an image at once")
    stream_seconds: float = Field(300, gt=0, description="longest stream of events; the client then connects again")
    batch_sources: str = Field(
        "", description="stores that batches may read from, file:///folder or gs://bucket/prefix, separated by commas; empty: none"
    )
    max_batch_bytes: int = Field(16 * 1024 * 1024, ge=1, description="largest CSV body of a batch, in bytes")
    list_public: bool = Field(False, description="let anyone list the cases that were submitted without an API key")
    keyless: bool = Field(
        False, description="serve callers without an API key, all as one owner: whoever knows a case's id may see and erase it"
    )
    key_cache_seconds: float = Field(30, gt=0, le=30, description="time that an API key is held for; a revoked one stops within it")
    rate_per_minute: int = Field(600, ge=0, description="calls a minute of one API key; more are refused with 429; 0: no limit")
    keyless_rate_per_minute: int = Field(
        0, ge=0, description="calls a minute of one client address without an API key; 0: no limit, as behind a proxy all have one address"
    )
    cors_origins: str = Field("", description="origins, separated by commas, whose pages may call the API; empty: none but its own page")
    drain_seconds: int = Field(20, ge=0, description="time that running requests get to end after SIGTERM")
