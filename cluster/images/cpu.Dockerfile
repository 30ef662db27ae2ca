# syntax=docker/dockerfile:1.9
# Baewoo on CPUs, without weights:
#   docker build -f cluster/images/cpu.Dockerfile -t baewoo:0.1.0-cpu .
#   docker run -p 8080:8080 --env-file .env -v baewoo-models:/models -v baewoo-data:/data baewoo:0.1.0-cpu
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
# torch's own index: elsewhere plain pip would bring its CUDA build, 5 GB larger.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY models models
COPY deployments deployments
COPY serve_app serve_app
COPY training training
RUN pip install --constraint constraints.txt --extra-index-url "${TORCH_INDEX}" --editable '.[train]'

FROM python:${PYTHON}
# wget: the health checks of Kubernetes and Docker. tini: ends what Ray leaves behind.
# hadolint ignore=SC2016
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini=0.19.* wget=1.21.* \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home baewoo \
 && install --directory --owner=baewoo --group=baewoo /models /data \
 # A login shell, which KubeRay starts Ray with, resets PATH.
 && echo 'export PATH=/opt/venv/bin:$PATH' > /etc/profile.d/baewoo.sh
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
COPY serve_config.yaml cluster/images/start.sh /app/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    BAEWOO_MODELS=/models \
    BAEWOO_STORAGE=/data \
    PORT=8080
USER 1000:1000
WORKDIR /home/baewoo
EXPOSE 8080
# Ready, and not only alive, within five minutes; the first start fetches 460 MB before that.
HEALTHCHECK --interval=10s --timeout=10s --start-period=5m --retries=6 \
    CMD ["sh", "-c", "exec wget -q -T 8 -O /dev/null http://127.0.0.1:${PORT}/ready"]
ENTRYPOINT ["tini", "--"]
CMD ["/app/start.sh", "/app/serve_config.yaml"]
