# Hỏa Tốc. `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
TEST := $(VENV)/.test
# Of its own: what the hub is measured against is nothing that the hub is tested with.
BENCH := build/bench-env
# What make trust must have measured; what each promises and where it is proved: the handbook's threats.md.
PROMISES := P8,P9,P10,P11,P12,P13,P14,P16,P18,P22,P25

.DEFAULT_GOAL := help
.PHONY: help run demo test trust faults simulate bench soak mutants screenshots check format openapi migration lock sbom wheelhouse advisories clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN) ## start the hub with seven sandbox participants, file a first scene and keep running
	@exec $(BIN)/hoatoc demo --keep-running

demo: $(RUN) ## play the whole scene without a person; exit 0 only if each step was seen
	@exec $(BIN)/hoatoc demo

test: $(TEST) ## install what the tests need and run everything, on SQLite and on PostgreSQL
	@$(BIN)/python tests/system_packages.py
	@$(BIN)/python tests/postgres.py -- $(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

trust: $(TEST) ## measure the promises at full size; per promise N, seed and violations: make trust SEED=7 ARGS='-k replay'
	@$(BIN)/python tests/system_packages.py
	@HOATOC_TRUST=1 HOATOC_SEED=$(or $(SEED),$(shell date +%s)) $(BIN)/python tests/postgres.py --no-fsync -- \
	  $(BIN)/pytest -q -n 2 --dist loadgroup $(if $(ARGS),,--promises=$(PROMISES)) tests/trust $(ARGS)

faults: $(TEST) ## nodes, databases and receivers under a nemesis, for long; the schedule follows from the seed: make faults SEED=7
	@$(BIN)/python tests/system_packages.py
	@HOATOC_FAULTS=1 HOATOC_KILLS=60 HOATOC_SEED=$(or $(SEED),$(shell date +%s)) $(BIN)/python tests/postgres.py -- $(BIN)/pytest -q -n 0 \
	  $(or $(ARGS),$(addprefix tests/journeys/test_,fault_proxy.py checkers.py faults.py failover.py kill.py clock.py proxy.py))

simulate: $(TEST) ## play the engine in virtual time, seed by seed: make simulate SEED=7 N=2000; N=1 plays one again exactly
	@$(BIN)/python tests/postgres.py --no-fsync -- $(BIN)/python tests/simulation/simulate.py \
	  --seed $(or $(SEED),$(shell date +%s)) --n $(or $(N),2000) --workers 2 $(ARGS)

screenshots: $(TEST) ## take the pictures of README and handbook anew, and the pages in each size and language to build/screenshots
	@$(BIN)/python tests/system_packages.py
	@$(BIN)/python tests/console/screenshots.py build/screenshots

mutants: $(TEST) ## take each safeguard away in a copy of the tree; each time a test must turn red: make mutants ARGS=bounds
	@$(BIN)/python tests/system_packages.py
	@$(BIN)/python tests/postgres.py --no-fsync -- $(BIN)/python tests/mutants/apply.py $(ARGS)

bench: $(TEST) ## measure A1 to A9 beside what a user would pick instead: make bench ONLY=A1,A4 RUNS=1 SCALE=0.1
	@$(BIN)/python tests/system_packages.py
	@test $(BENCH)/.ready -nt requirements/bench.txt || { $(PYTHON) -m venv $(BENCH) && $(BENCH)/bin/pip install -q --disable-pip-version-check \
	  --require-hashes -r requirements/bench.txt && touch $(BENCH)/.ready; } || \
	  echo "what is in requirements/bench.txt cannot be installed here: the table says what is missing for it"
	@$(BIN)/python tests/benchmarks/bench.py --profile $(if $(ONLY),--only $(ONLY)) --runs $(or $(RUNS),3) --scale $(or $(SCALE),1) $(ARGS)

soak: $(TEST) ## two nodes under load while a reader holds a snapshot; does it degrade? make soak MINUTES=30 RATE=5
	@$(BIN)/python tests/system_packages.py
	@$(BIN)/python tests/benchmarks/bench_soak.py --minutes $(or $(MINUTES),30) --rate $(or $(RATE),5) $(ARGS)

check: $(TEST) ## linters, types, import contracts, OpenAPI drift, migrations on both databases
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hoatoc openapi --check
	@$(BIN)/pytest -q tests/contract/test_i18n.py -p no:cacheprovider
	@$(BIN)/python tests/system_packages.py
	@$(BIN)/python tests/postgres.py -- $(BIN)/python tests/migrations/drift.py

format: $(TEST) ## format the code and sort the imports
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

openapi: $(TEST) ## write the contract anew from the code
	@$(BIN)/hoatoc openapi

migration: $(TEST) ## write a migration from the models: make migration NAME="what changes"
	@HOATOC_DATA_DIR=$$(mktemp -d) sh -c '$(BIN)/alembic upgrade head && $(BIN)/alembic revision --autogenerate -m "$(NAME)"'

lock: $(TEST) ## compile the hashed requirement files anew
	@$(BIN)/pip install -q uv
	@for name in run test client bench; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url requirements/$$name.in -o requirements/$$name.txt; done

sbom: $(RUN) ## write the bill of materials of this tree (CycloneDX 1.6) to build/
	@mkdir -p build
	@$(BIN)/hoatoc sbom > build/hoatoc.cdx.json

wheelhouse: $(RUN) ## collect all that an installation without a network needs in build/release: wheels, tree, bill, SHA-256
	@$(BIN)/python -m service.supply.release build/release

advisories: $(RUN) ## compare what is shipped with a copy of the OSV database: make advisories DATABASE=all.zip
	@$(BIN)/hoatoc advisories check $(if $(DATABASE),--database $(DATABASE))

clean: ## remove the environment, the caches and the demo's data
	rm -rf $(VENV) var build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

$(VENV)/pyvenv.cfg:
	@echo "making the environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@$(PYTHON) -m venv $(VENV)

$(RUN): $(VENV)/pyvenv.cfg requirements/run.txt pyproject.toml
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(TEST): $(RUN) requirements/test.txt
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@
