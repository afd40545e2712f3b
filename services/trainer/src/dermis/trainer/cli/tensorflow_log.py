"""TensorFlow's own log lines, kept off the terminal of a command."""

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own variable; at 0 nothing is kept off."""

_LOG_LINE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:|To enable the following instructions:"
)
_STDERR = 2


@contextmanager
def without_tensorflow_log() -> Iterator[None]:
    """Load TensorFlow within: its log lines are dropped; what else is written to stderr meanwhile follows at the end.

    Some of its lines are written while its libraries are loaded, before it looks at any setting; afterwards its level
    keeps it silent.
    """
    if os.environ.setdefault(LEVEL, "3") == "0":
        yield
        return
    stderr = os.dup(_STDERR)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, _STDERR)
            os.close(stderr)
            file.seek(0)
            os.write(_STDERR, b"".join(line for line in file if not _LOG_LINE.match(line)))
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
