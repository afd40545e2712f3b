# The light parts and the serving twin, one image each: docker build --build-arg SERVICE=worker -t dermis-worker .
# SERVICE: gateway, worker, metadata, serving (the twin), sweep or standalone (init, the `dermis` command).
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS wheel
COPY requirements/build.txt /build.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/build \
    && python3 -m pip --python /opt/build/bin/python install --quiet --no-deps --no-compile --require-hashes -r /build.txt
COPY . /dermis
WORKDIR /dermis
RUN /opt/build/bin/hatchling build -t wheel -d /wheel
WORKDIR /dermis/clients/python
RUN /opt/build/bin/hatchling build -t wheel -d /wheel

FROM wheel AS build
ARG SERVICE
COPY requirements/${SERVICE}.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python install --quiet --no-deps --no-compile --require-hashes -r /requirements.txt \
    && find /opt/venv -name tests -type d -path '*/site-packages/*' -prune -exec rm -rf {} +
# The gateway runs no model: the weights of the skin gate and the bundles stay out of it.
RUN python3 -m pip --python /opt/venv/bin/python install --quiet --no-deps --no-compile --no-index /wheel/*.whl \
    && mkdir /sbom \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --of JSON -o "/sbom/dermis-$SERVICE.cdx.json" /opt/venv/bin/python \
    && if [ "$SERVICE" = gateway ]; then find /opt/venv -path '*/dermis/*' \( -name skin_gate.tflite -o -name bundle -type d \) -prune -exec rm -r {} +; fi \
    && python3 -m compileall -q /opt/venv

FROM ${BASE}
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dermis-${SERVICE}" \
      org.opencontainers.image.description="dermis: inclusive skin-condition assessment; not a medical device" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.vendor="The dermis maintainers" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /sbom /usr/share/sbom
COPY LICENSE NOTICE /
# A new volume begins as this folder does: who is shown some folders alone finds them, in a bucket's place too.
RUN mkdir /store \
    && for folder in models runs evaluations promotions reports profiles audit; do mkdir -m 0700 "/store/$folder"; done \
    && chown -R 10001:10001 /store
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PART=${SERVICE}
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=2s --retries=6 CMD ["python3", "-m", "dermis.shared.health"]
ENTRYPOINT ["/bin/sh", "-c", "exec python3 -m dermis.$PART \"$@\"", "--"]
