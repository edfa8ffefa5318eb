# Two images from one file: `control-plane` for the programs of the control plane, `node` for nodes.
# docker build --target control-plane -t kubarium/control-plane .
# docker build --target node -t kubarium/node .

ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS control-plane
ARG PIP_OPTIONS=""
WORKDIR /usr/src/kubarium
COPY constraints.txt pyproject.toml README.md ./
# The dependencies first: they change less often than the code.
RUN python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml','rb'))['project']['dependencies']))" \
      > /tmp/requirements.txt \
 && python -m pip install --no-cache-dir --disable-pip-version-check ${PIP_OPTIONS} \
      -c constraints.txt -r /tmp/requirements.txt \
 && rm /tmp/requirements.txt
COPY . .
ENV PYTHONPATH=/usr/src/kubarium PYTHONUNBUFFERED=1
RUN python -m compileall -q -j 0 .
ENTRYPOINT ["python", "-m", "kubarium.cluster.compose"]

FROM control-plane AS node
RUN apt-get update \
 && apt-get install -y --no-install-recommends containerd runc containernetworking-plugins iptables nftables \
      conntrack iproute2 util-linux mount procps busybox-static \
 && rm -rf /var/lib/apt/lists/* /var/lib/containerd/*
RUN python -m kubarium.cluster.compose pack-images /usr/share/kubarium/images
# Overlay on overlay does not work: containerd needs a real file system.
VOLUME ["/var/lib/containerd", "/var/lib/kubelet"]
STOPSIGNAL SIGTERM
