# The environment of requirements.lock; the wheels bring CUDA, the host brings the driver.
# The project itself is cloned at run time, at the revision that the deployment names.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends git make openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home yolo \
    # a private repository, over https: the token comes from the job's environment
    && git config --system credential.helper \
        '!f() { [ -n "$GIT_TOKEN" ] && echo username=x-access-token && echo "password=$GIT_TOKEN"; }; f'

COPY requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir uv \
    && uv pip sync --system --no-cache --require-hashes /tmp/requirements.lock \
    && rm /tmp/requirements.lock

USER yolo
WORKDIR /home/yolo
ENV PYTHONUNBUFFERED=1 DO_NOT_TRACK=1 DVC_NO_ANALYTICS=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
# SIGTERM reaches Prefect, which hands it on: a training saves its state before it ends
STOPSIGNAL SIGTERM
CMD ["python", "--version"]
