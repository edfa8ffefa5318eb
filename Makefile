# One verb for each thing a developer does. `make help` lists them.

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
NODES ?= 3
CODE := apiserver scheduler controller_manager cloud_controller_manager kubelet kube_proxy addons kubarium
SYSTEM := etcd-server etcd-client containerd runc containernetworking-plugins iptables nftables conntrack \
          busybox-static iproute2 util-linux procps
TEST_SYSTEM := nginx-light curl docker.io docker-compose debootstrap dbus-daemon docker-registry
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Debian starts the service of a package when it installs it; while policy-rc.d says 101 it does not.
define INSTALL
set -e
missing=""
for package in "$$@"; do
  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"
done
[ -n "$$missing" ] || exit 0
if [ "$$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "root must install first:$$missing"; exit 1; }
  exec sudo sh -c "$$INSTALL" install $$missing
fi
echo "installing$$missing"
policy=/usr/sbin/policy-rc.d
[ -e $$policy ] || { printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; trap 'rm -f $$policy' EXIT; }
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null
endef
export INSTALL

.DEFAULT_GOAL := help
.PHONY: help install install-test up down check format test unit integration cluster fuzz bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

install: $(VENV)/.installed  ## system packages and Python packages, if they are missing

$(VENV)/.installed: constraints.txt pyproject.toml
	@sh -c "$$INSTALL" install $(SYSTEM)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
	  { sh -c "$$INSTALL" install python3-venv && $(PYTHON) -m venv $(VENV); }
	@echo "installing Python packages in $(VENV)"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m compileall -q -j 0 $(CODE)
	@touch $@

install-test: install  ## what only the tests need: nginx for an image, a Docker Engine for compose, a kubectl if there is none
	@sh -c "$$INSTALL" install $(TEST_SYSTEM)
	@command -v kubectl >/dev/null || sh -c "$$INSTALL" install kubernetes-client

up: install  ## a cluster of NODES nodes (3)
	@$(SUDO) $(BIN)/kubarium up --nodes $(NODES)

down:  ## take the cluster away
	@$(SUDO) $(BIN)/kubarium down

check: install  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

format: install  ## write the code as the formatter wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install-test  ## all tests, those on real clusters included
	$(SUDO) $(BIN)/pytest

unit: install  ## tests without a machine: minutes
	$(BIN)/pytest tests/unit tests/contracts tests/architecture

integration: install-test  ## a real etcd, an API server, real clients
	$(SUDO) $(BIN)/pytest tests/integration

cluster: install-test  ## stories on a real cluster
	$(SUDO) $(BIN)/pytest tests/cluster

fuzz: install-test  ## requests made up from our own OpenAPI, a minute for each group
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz

bench: install  ## the figures that the README claims
	$(SUDO) $(BIN)/python -m benchmarks

clean:  ## remove what was made, but for the clusters' data
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
