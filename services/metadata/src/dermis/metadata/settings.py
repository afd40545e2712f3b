from pydantic import Field

from dermis.shared.settings import LISTEN, Settings


class MetadataSettings(Settings):
    listen: str = Field("127.0.0.1:50051", description="host:port to serve on")
    threads: int = Field(4, ge=1, description="calls answered at once")
    leave_seconds: float = Field(
        0,
        ge=0,
        le=60,
        description="time after SIGTERM in which calls are still answered, so that clients learn to go elsewhere",
    )
    metrics_listen: str = Field("", pattern=LISTEN, description="host:port to show metrics on; empty: nowhere")
