# One door to every command. Needs Python 3.11+, git and make; everything else goes into .venv.

SYNC := .venv/bin/uv sync --locked --quiet --extra openai --extra gateway --extra emulator --extra agents
READY := .venv/.synced
READY_OPENAI2 := .venv-openai2/.synced
ARGS ?=
FUZZ_S ?= 60

unexport VIRTUAL_ENV

.PHONY: help setup demo run test check bench soak interop clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z].*:.*## / {sub(/:.*/, "", $$1); printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(READY) $(READY_OPENAI2) ## prepare both environments, run nothing

demo: $(READY) ## the tour: a fleet, a lost region, the bill; offline, ends by itself
	@.venv/bin/smalt demo $(ARGS)

run: $(READY) ## the gateway on :8000, before Azure if configured, else before the emulator
	@.venv/bin/smalt serve --emulate-if-unconfigured $(ARGS)

test: setup ## the whole suite, then the SDK tests once more with openai 2.x
	.venv/bin/pytest -q -n auto --dist loadfile $(ARGS)
	.venv-openai2/bin/pytest -q -n auto --dist loadfile -m "sdk and not live"

check: $(READY) ## format, lint, types, layers, docs; changes nothing
	@.venv/bin/python tools/check.py

bench: $(READY) ## speed: every script of bench/ says its figure and its goal; PEERS=1: other gateways too
	@missed=0; for script in $$(grep -l __main__ bench/*.py); do \
	  .venv/bin/python -m bench.$$(basename $$script .py) || missed=1; done; exit $$missed

interop: $(READY) ## other people's SDKs, against the emulator and through smalt
	@.venv/bin/python tests/interop/run.py $(ARGS)

soak: $(READY) ## is each branch of core and wire tested, are small faults noticed, does the wire hold? ARGS=reactions: one module
	@.venv/bin/pytest -q -n auto tests/unit/core tests/unit/wire tests/property/test_wire.py \
	  --cov=smalt.core --cov=smalt.wire --cov-branch --cov-fail-under=100 --cov-report=term:skip-covered
	@.venv/bin/python -m tools.mutate $(ARGS)
ifeq ($(ARGS),)
	@UV_PROJECT_ENVIRONMENT=.venv $(SYNC) --inexact --group openai3 --group fuzz
	@.venv/bin/python -m tools.fuzz $(FUZZ_S)
endif

clean: ## remove the environments and every cache
	rm -rf .venv .venv-openai2 .venv-interop .venv-peers-* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/uv:
	@tools/bootstrap

$(READY): pyproject.toml uv.lock | .venv/bin/uv
	@echo "preparing .venv"
	@UV_PROJECT_ENVIRONMENT=.venv $(SYNC) --group openai3
	@touch $@

$(READY_OPENAI2): pyproject.toml uv.lock | $(READY)
	@echo "preparing .venv-openai2"
	@UV_PROJECT_ENVIRONMENT=.venv-openai2 $(SYNC) --group openai2 --python .venv/bin/python
	@touch $@
