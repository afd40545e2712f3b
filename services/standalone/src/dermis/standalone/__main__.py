import signal
import sys

from dermis.standalone.cli import main

if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # a container's first process gets no signal that it has not asked for
    main()
