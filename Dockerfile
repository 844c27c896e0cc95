# One image for every process of the hub: `serve` (default), `worker`, and each administrative command.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# Nobody logs in as this user; the numbers are fixed so that a volume's files keep their owner over rebuilds.
RUN groupadd --gid 10001 hoatoc \
    && useradd --uid 10001 --gid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin hoatoc \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/hoatoc

WORKDIR /app

# Exactly the files whose hashes are committed, as built packages only: nothing is compiled and no setup script runs.
COPY requirements/run.txt requirements/run.txt
RUN pip install --require-hashes --only-binary :all: -r requirements/run.txt

# The hub runs from its tree: migrations and their settings stand beside the code. Owned by root, so it cannot change itself.
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY workflows workflows
COPY adapters adapters
COPY alembic alembic
COPY openapi openapi
COPY service service
RUN pip install --no-deps --no-build-isolation -e .

ENV HOATOC_DATA_DIR=/var/lib/hoatoc \
    HOATOC_HOST=0.0.0.0
VOLUME /var/lib/hoatoc
EXPOSE 8470
USER 10001:10001

# Whether the process lives. Whether it may get work is /readyz, which the proxy in front asks.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8470/healthz', timeout=2)"]

ENTRYPOINT ["hoatoc"]
CMD ["serve"]
