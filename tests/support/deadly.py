"""Measuring of images that takes the process along where a key says so.

A decoder does that which writes beyond its buffer.
"""

import os
import signal

from dermis.data.images import shards
from dermis.shared.jobs import ShardList, shard_list_key
from dermis.shared.stores import open_store

MEASURE, LINES = shards._measure, shards._lines


def measure(store_url: str, plan_id: str, n: int) -> int:
    listed = ShardList.model_validate_json(open_store(store_url).get(shard_list_key(plan_id)))
    if any("poison" in key for key in listed.shard(n)):
        os.kill(os.getpid(), signal.SIGKILL)
    return MEASURE(store_url, plan_id, n)


def lines(store_url: str, plan_id: str, key: str) -> bytes:
    if "poison" in key:
        os.kill(os.getpid(), signal.SIGKILL)
    return LINES(store_url, plan_id, key)
