# The two commands of a fresh machine are `make demo` and `make test`.
.PHONY: build demo test bench deps install clean help

help:
	@echo 'make demo     dependencies, build, the main path on real input, what to try next'
	@echo 'make test     dependencies, build, all tests'
	@echo 'make build    the program: build/release/varve'
	@echo 'make bench    the measurements, into bench/results.md (about 20 minutes)'
	@echo 'make install  PREFIX=/usr/local'

deps:
	@scripts/deps system
	@scripts/deps fetch

build: deps
	@cmake --preset release >build/cmake.log || { cat build/cmake.log; exit 1; }
	@ninja -C build/release varve

demo: build
	@scripts/demo

test: deps
	@scripts/test

bench: deps
	@scripts/deps python
	@scripts/bench

PREFIX ?= /usr/local
install: build
	@cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build/release build/debug build/dev build/asan-ubsan build/tsan build/bench
