# One image for all processes of participation. docker-compose.yml contains the command of each service.
# The build uses only wheels whose hashes are in requirements.lock. It needs no compiler and no system packages.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock ./
RUN pip download --require-hashes --only-binary :all: --dest /wheels --requirement requirements.lock
COPY pyproject.toml README.md LICENSE celeryconfig.py ./
COPY participation participation
# The lock file also contains the development tools. From here on, pip uses no index, only the wheels whose hashes were
# checked, and installs only those that participation requires.
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
