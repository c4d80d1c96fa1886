# Every process of participation in one image; docker-compose.yml says which command each service runs.
# Built from wheels alone: no compiler, no system package, nothing fetched but what requirements.lock names by its hash.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock ./
RUN pip download --require-hashes --only-binary :all: --dest /wheels --requirement requirements.lock
COPY pyproject.toml README.md LICENSE celeryconfig.py ./
COPY participation participation
# The lock holds the development tools too. From here on there is no index, only the wheels whose hashes were checked,
# and of those pip takes what participation itself requires.
RUN pip wheel --no-index --find-links /wheels --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/participation \
    && pip --python /opt/participation/bin/python install --no-index --find-links /wheels 'community-participation[server,discord,aiogram]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/participation participation \
    && install --directory --owner participation --group participation /var/lib/participation
COPY --from=build /opt/participation /opt/participation
ENV PATH=/opt/participation/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /var/lib/participation
USER participation
