# The commands that people type; each is a script under tools/, so that none of it needs make.
.DEFAULT_GOAL := help
.PHONY: help setup demo build test lint format format-check tidy bench clean
export YES SOURCE PORT

help:
	@echo "make demo          install what is missing, build, run a whole fleet on a real video"
	@echo "                   SOURCE=/dev/video0 or SOURCE=rtsp://... takes a camera; YES=1 does not ask"
	@echo "make build         the executables, in build/release/bin"
	@echo "make test          install what is missing, build and run every test, under sanitizers too"
	@echo "make bench         measure speed, latency and memory on this machine"
	@echo "make lint          layers, format, shell scripts, assets"
	@echo "make tidy          clang-tidy over the whole tree"
	@echo "make format        format every C++ file"
	@echo "make clean         remove what was built (.deps stays; remove it by hand)"

setup:
	@tools/setup

demo: build
	@tools/demo

build: setup
	@tools/build release

test:
	@tools/test

lint:
	@tools/lint

format:
	@tools/format

format-check:
	@tools/format --check

tidy:
	@tools/setup --test
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev --target selvedge_proto >/dev/null
	@tools/tidy

bench: build
	@tools/setup --bench
	@PYTHONPATH=.deps/python build/release/bin/selvedge bench pipeline
	@PYTHONPATH=.deps/python build/release/bin/selvedge bench engines
	@build/release/bin/selvedge bench fleet

clean:
	@rm -rf build
