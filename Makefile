# Rollout: what you can do here. `make` alone prints this list.
.DEFAULT_GOAL := help
PY     ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
ROOT   := $(shell test "$$(id -u)" = 0 && command -v go >/dev/null && echo yes)

.PHONY: help demo test check lab-up lab-down soak bench bench-judgement generate

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	$(PY) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

demo: $(READY) ## a good canary is promoted, a bad one rolled back, on a real cluster with real Istio sidecars
ifeq ($(ROOT),yes)
	$(BIN)/python -m lab demo
else
	@echo '!! The real lab needs root and Go; this is the SIMULATED demo instead: same engine, same CLI, simulated cluster.'
	$(BIN)/rollout demo
endif

test: $(READY) ## all tests; those that need a real cluster bring up the lab (skipped loudly without root or Go)
ifeq ($(ROOT),yes)
	$(BIN)/python -m lab build --fake-nodes # beforehand: no test's time limit covers the first build
endif
	$(BIN)/pytest -n 2 # one worker for the lab, one for all else: a cluster is waited for most of the time

check: $(READY) ## format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab-up: $(READY) ## a real Kubernetes with Istio on this machine (first time 12 to 18 minutes, then 10 seconds)
	$(BIN)/python -m lab up --profile istio

lab-down: $(READY) ## take it down; nothing stays behind
	$(BIN)/python -m lab down

soak: $(READY) ## seeded runs with faults: many simulated, then 20 real ones in the lab, kept in soak-report.md
	$(BIN)/python -m bench.soak
	$(BIN)/python -m bench.soak --controller --runs 5000
ifeq ($(ROOT),yes)
	$(BIN)/python -m bench.soak_lab --runs 20
else
	@echo '!! The real lab needs root and Go; the runs in it are left out.'
endif

bench: $(READY) ## what a run costs: simulated, then 50 of them in a lab (needs Go): requests, queries, CPU, memory
	$(BIN)/python -m bench.cost
	$(BIN)/python -m bench.adoption
	$(BIN)/python -m bench.history
	$(BIN)/python -m bench.scale --plans 50

bench-judgement: $(READY) ## how often a fixed threshold and our gates reject sound candidates and find bad ones: simulated
	$(BIN)/python -m bench.judgement

generate: $(READY) ## write crds/ and deploy/ from the code
	$(BIN)/rollout crds print --write crds
	$(BIN)/rollout install --write deploy
