# One verb for each thing a developer does. `make help` lists them.

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
NODES ?= 3
SYSTEM := etcd-server etcd-client containerd runc containernetworking-plugins iptables nftables conntrack \
          busybox-static iproute2 util-linux procps nginx-light curl
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.DEFAULT_GOAL := help
.PHONY: help install up down check format test unit integration cluster bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

install: $(VENV)/.installed  ## system packages and Python packages, if they are missing

$(VENV)/.installed: constraints.txt pyproject.toml
	@missing=""; for package in $(SYSTEM); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
	  { DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

up: install  ## a cluster of NODES nodes (3)
	@$(SUDO) $(BIN)/kubarium up --nodes $(NODES)

down:  ## take the cluster away
	@$(SUDO) $(BIN)/kubarium down

check: install  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## write the code as the formatter wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install  ## all tests, those on real clusters included
	$(SUDO) $(BIN)/pytest

unit: install  ## tests without a machine: seconds
	$(BIN)/pytest tests/unit tests/contracts tests/architecture

integration: install  ## a real etcd, an API server, real clients
	$(SUDO) $(BIN)/pytest tests/integration

cluster: install  ## stories on a real cluster
	$(SUDO) $(BIN)/pytest tests/cluster

bench: install  ## the figures that the README claims
	$(SUDO) $(BIN)/python -m benchmarks

clean:  ## remove what was made, but for the clusters' data
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
