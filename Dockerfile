# Build the images; docker-compose.yml sets EXTRAS:
#   postgres                 producer, dispatcher, migrate, watchdog, flower: no TensorFlow
#   postgres,stores          receiver, poller: DICOM, no TensorFlow
#   worker,postgres          workers on CPU: ONNX Runtime; use tensorflow,postgres for models without an ONNX file
#   gpu,postgres             workers on GPU: CUDA is installed from wheels, the driver comes from the host
#   tensorflow,stores,postgres   sender of reports, which computes heat maps
#   tensorflow,api,postgres      HTTP API, which computes heat maps
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
COPY api ./api
COPY cli ./cli
RUN --mount=type=cache,target=/var/cache/pip \
    pip --python /opt/nightread/bin/python install --cache-dir /var/cache/pip --disable-pip-version-check --constraint constraints.txt ".[${EXTRAS}]"

FROM ${BASE}
RUN groupadd --gid 10001 nightread \
    && useradd --uid 10001 --gid nightread --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nightread \
    && install --directory --owner nightread --group nightread --mode 0700 /var/lib/nightread /spool
COPY --from=build /opt/nightread /opt/nightread
# HOME is /tmp, because CUDA and Keras write caches to HOME, and only /tmp is writable for every user.
ENV PATH=/opt/nightread/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NIGHTREAD_STATE_DIR=/var/lib/nightread
USER 10001:10001
# Celery puts the current folder first on its import path, so it must be empty.
WORKDIR /srv
CMD ["nightread", "--help"]
