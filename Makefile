# make check is what a change must pass before it is committed; make test is everything.
PYTHON = .venv/bin/python
SHELL_FILES = loop $(filter-out %.sh,$(wildcard scripts/*))

.PHONY: check venv lint types contracts shell fast test bench simulate chaos fuzz replay soak night lock

check: lint types contracts shell fast

venv:
	@scripts/venv dev

lint: venv
	$(PYTHON) -m ruff format --check --quiet .
	$(PYTHON) -m ruff check --quiet .

types: venv
	$(PYTHON) -m mypy --strict

contracts: venv
	.venv/bin/lint-imports --no-cache

shell: venv
	.venv/bin/shellcheck $(SHELL_FILES) .ci/run

fast: venv
	scripts/test -m "not cli and not process and not slow and not night"

test: venv
	scripts/test

# Interleaved with what it is held against, medians, ratios; bench/README.md has the figures and what they mean.
bench: venv
	$(PYTHON) bench/store.py
	$(PYTHON) bench/loop.py

# Seeded stories through the real loop in virtual time: make simulate SESSIONS=100000 SEED=1 (docs/howto/simulate.md)
SESSIONS = 10000
SEED = 1
JOBS = 2

simulate: venv
	$(PYTHON) -m harness.testing.simulate --seed $(SEED) --sessions $(SESSIONS) --jobs $(JOBS)

# Faults on purpose against real loops, under five minutes; docs/howto/chaos.md says what is done and held.
chaos: venv
	$(PYTHON) -m chaos

# New cases for every reader of what comes from outside: make fuzz SECONDS=3600 (docs/howto/fuzz.md)
SECONDS = 120

fuzz: venv
	$(PYTHON) -m tests.fuzz --seconds $(SECONDS)

# Recorded sessions through the real watchdog: false kills and misses by threshold (docs/howto/replay.md)
replay: venv
	$(PYTHON) -m harness.testing.replay

# Thousands of sessions in one loop: memory, descriptors, children (docs/howto/soak.md)
soak: SESSIONS = 5000
soak: venv
	$(PYTHON) -m bench.soak --sessions $(SESSIONS)

# Long plays that the suite leaves out (pytest marker night)
night: venv
	scripts/test -m night

lock:
	scripts/lock
