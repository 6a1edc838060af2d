# One file for three images; docker-compose.yml names their EXTRAS:
#   postgres          producer, dispatcher, migrate, flower: no TensorFlow
#   worker,postgres   workers on CPU
#   gpu,postgres      workers on GPU: CUDA comes from wheels, the driver from the host
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
ARG EXTRAS=postgres
WORKDIR /src
RUN python -m venv --without-pip /opt/nightread
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY nightread ./nightread
COPY imaging ./imaging
COPY producer ./producer
COPY worker ./worker
COPY delivery ./delivery
COPY models ./models
COPY db ./db
COPY cli ./cli
RUN --mount=type=cache,target=/var/cache/pip \
    pip --python /opt/nightread/bin/python install --cache-dir /var/cache/pip --disable-pip-version-check --constraint constraints.txt ".[${EXTRAS}]"

FROM ${BASE}
RUN groupadd --gid 10001 nightread \
    && useradd --uid 10001 --gid nightread --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nightread \
    && install --directory --owner nightread --group nightread --mode 0700 /var/lib/nightread
COPY --from=build /opt/nightread /opt/nightread
# HOME: whoever runs it, only /tmp can be written to, and CUDA and Keras keep caches below it.
ENV PATH=/opt/nightread/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NIGHTREAD_STATE_DIR=/var/lib/nightread
USER 10001:10001
# Celery puts the current folder first on its import path: nothing may lie there.
WORKDIR /srv
CMD ["nightread", "--help"]
