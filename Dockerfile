# The image is what ./figway sets up for its group `run`: the same system packages, the same lock, the same build of .venv.
#
#   docker build -t figway .
#   docker run --init --read-only --cap-drop ALL --security-opt no-new-privileges -p 8080:8080 \
#     -v ./catalogue:/etc/figway/catalogue:ro -v figway-state:/var/lib/figway figway

FROM debian:12-slim AS system
WORKDIR /opt/figway
COPY deploy/install-packages.sh deploy/packages.txt deploy/
RUN sh deploy/install-packages.sh python3 $(awk '$1 == "run" { print $2 }' deploy/packages.txt) \
    && rm -rf /var/lib/apt/lists/*

FROM system AS build
COPY figway requirements.lock ./
RUN ./figway setup run

FROM system
COPY --from=build /opt/figway ./
COPY adapters adapters
COPY scoring scoring
COPY wrapper wrapper
RUN .venv/bin/python -m compileall -q adapters scoring wrapper
RUN useradd --uid 10001 --home-dir /var/lib/figway --create-home --shell /usr/sbin/nologin figway
USER 10001
VOLUME /var/lib/figway
ENV PYTHONPATH=/opt/figway \
    PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/dev/shm \
    ORT_DISABLE_TELEMETRY=1 \
    FIGWAY_CATALOGUE=/etc/figway/catalogue \
    FIGWAY_STATE=sqlite:////var/lib/figway/state.sqlite \
    FIGWAY_STATE_KEY=/var/lib/figway/state.key \
    FIGWAY_BIND=0.0.0.0:8080 \
    FIGWAY_ADMIN_BIND=127.0.0.1:8081
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD [".venv/bin/python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + (os.environ['FIGWAY_ADMIN_BIND'] or os.environ['FIGWAY_BIND']).rpartition(':')[2] + '/health/live', timeout=2)"]
ENTRYPOINT ["/opt/figway/.venv/bin/python", "-P", "-m", "wrapper.cli"]
CMD ["serve"]
