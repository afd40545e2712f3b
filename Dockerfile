# The light parts and the serving twin, one image each: docker build --build-arg SERVICE=worker -t dermis-worker .
# SERVICE: gateway, worker, metadata, serving (the twin), sweep or standalone (init, the `dermis` command).
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG SERVICE
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
COPY requirements/sbom.txt /sbom.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/sbom \
    && python3 -m pip --python /opt/sbom/bin/python install --quiet --no-deps --no-compile --require-hashes -r /sbom.txt
COPY requirements/${SERVICE}.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python install --quiet --no-deps --no-compile --require-hashes -r /requirements.txt \
    && find /opt/venv -name tests -type d -path '*/site-packages/*' -prune -exec rm -rf {} +
COPY proto/gen/ shared/src/ clients/python/src/ services/${SERVICE}/src/ /app/
# Only this service's portion of the package is here, so its version is stated by hand instead of by an installed wheel.
COPY pyproject.toml /
RUN version=$(sed -n 's/^version = "\(.*\)"/\1/p' /pyproject.toml) \
    && mkdir "/app/dermis-$version.dist-info" \
    && printf 'Metadata-Version: 2.4\nName: dermis\nVersion: %s\nLicense-Expression: Apache-2.0\n' "$version" > "/app/dermis-$version.dist-info/METADATA" \
    && mkdir /sbom && PYTHONPATH=/app /opt/sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o "/sbom/dermis-$SERVICE.cdx.json" /opt/venv/bin/python \
    && python3 -m compileall -q /opt/venv /app

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
COPY --from=build /app /app
COPY --from=build /sbom /usr/share/sbom
COPY LICENSE /LICENSE
RUN mkdir /store && chown 10001:10001 /store
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PART=${SERVICE}
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=2s --retries=6 CMD ["python3", "-m", "dermis.shared.health"]
ENTRYPOINT ["/bin/sh", "-c", "exec python3 -m dermis.$PART \"$@\"", "--"]
