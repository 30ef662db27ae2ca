# syntax=docker/dockerfile:1.9
# Baewoo on NVIDIA GPUs, with vLLM, without weights:
#   docker build -f cluster/images/cuda.Dockerfile -t baewoo:0.1.0-cuda .
# CUDA's libraries come with the wheels of torch and vllm; the machine brings the driver.
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY cluster/images/cuda-constraints.txt constraints.txt
COPY models models
COPY deployments deployments
COPY serve_app serve_app
COPY training training
RUN pip install --constraint constraints.txt --editable '.[gpu,train,zonos]'

FROM python:${PYTHON}
# gcc: Triton compiles a launcher for each kernel. libespeak-ng1: Zonos' phonemes (GPL). wget: the health checks of Kubernetes and Docker.
# tini: ends what Ray leaves behind. openssh-client, rsync: `ray up` sets up nodes through them.
# hadolint ignore=SC2016
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      gcc=4:12.* libc6-dev=2.36-* libespeak-ng1=1.51* openssh-client=1:9.2* rsync=3.* \
      tini=0.19.* wget=1.21.* \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home baewoo \
 && install --directory --owner=baewoo --group=baewoo /models /data \
 # A login shell, which KubeRay starts Ray with, resets PATH.
 && echo 'export PATH=/opt/venv/bin:$PATH' > /etc/profile.d/baewoo.sh
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
COPY serve_config.yaml cluster/images/start.sh /app/
COPY cluster/cloud-run/serve_config.yaml /app/cloud-run.yaml
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    BAEWOO_MODELS=/models \
    BAEWOO_STORAGE=/data \
    PORT=8080
USER 1000:1000
WORKDIR /home/baewoo
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=10s --start-period=10m --retries=6 \
    CMD ["sh", "-c", "exec wget -q -T 8 -O /dev/null http://127.0.0.1:${PORT}/ready"]
ENTRYPOINT ["tini", "--"]
CMD ["/app/start.sh", "/app/cloud-run.yaml"]
