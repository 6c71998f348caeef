# One word a task. `make demo` and `make test` start from a bare Debian or Ubuntu machine; see README.md.

.DEFAULT_GOAL := help
.PHONY: help bootstrap bootstrap-tests bootstrap-bench demo loop test lint unit boot boot-all rules fuzz fuzz-metal bench fidelity fidelity-quick clean

# The tools that bootstrap put into .venv come first; a Go of the user's own is found if the wheel isn't there.
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/local/go/bin

WORKERS ?= 2
FUZZ_SEEDS ?= 200
EXAMPLES ?= 5000

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile

bootstrap: ## install what is missing: Python packages, QEMU, Go
	@tools/bootstrap

bootstrap-tests: ## and what some tests compare with: gcc, gdb, erofs-utils, QEMU for arm64 and riscv64
	@tools/bootstrap tests

demo: bootstrap ## build the kernel and examples/hello, and boot them
	goanna run ./examples/hello

loop: bootstrap ## after an edit of the kernel, ROOM=file: check it, run the room's host tests, boot hello
	@python tools/loop.py $(ROOM)

test: lint unit boot ## all tests

lint: bootstrap ## ruff and mypy
	ruff check .
	mypy src/goanna benchmarks fidelity

unit: bootstrap-tests ## tests that boot nothing
	pytest -q -n $(WORKERS) --ignore=tests/boot tests

boot: bootstrap-tests ## guest programs, here and in the image, with the newest Go and with 1.21
	pytest -q tests/boot

boot-all: bootstrap-tests ## every guest program with both Go versions, on q35 as well as microvm
	GOANNA_BOOT_ALL=1 pytest -q -n $(WORKERS) --dist worksteal tests/boot

rules: bootstrap-tests ## the scripts of the network's rules on Linux's stack too, those that take minutes there among them
	GOANNA_RULES=all pytest -q -n 8 -k linux tests/kernel/net

fuzz: bootstrap ## random system calls, FUZZ_SEEDS seeds (default 200)
	python -m tests.boot.fuzz --seeds $(FUZZ_SEEDS)

fuzz-metal: bootstrap-tests ## generated programs for the compiler, EXAMPLES of each kind (default 5000)
	GOANNA_METAL_EXAMPLES=$(EXAMPLES) pytest -q -n $(WORKERS) tests/metal/test_generated*.py tests/metal/test_miscompiles.py

bootstrap-bench: ## and what the benchmarks put a load on with: wrk
	@tools/bootstrap bench

bench: bootstrap-bench ## measure, print the table, write benchmarks/results.json and benchmarks/results.svg
	python -m benchmarks

fidelity: bootstrap ## Go's own tests in a booted image and on Linux, into docs/fidelity.md (hours; goes on where it stopped; GO=PATH: another go; MODULE=FOLDER: a module's tests)
	python -m fidelity $(if $(GO),--go $(GO)) $(if $(MODULE),--module $(MODULE))

fidelity-quick: bootstrap ## a choice of them, in minutes
	python -m fidelity --quick $(if $(GO),--go $(GO))

clean: ## remove .venv and build leftovers
	rm -rf .venv build
