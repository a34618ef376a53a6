# What to do with this module; "make" alone says what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

# A version of its own module's, run without a trace in go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Whole seconds for each fuzz target, and for all of them together: where there
# are too many, each gets an equal share.
FUZZTIME  := 10s
FUZZTOTAL := 600s

# How many schedules "make simulate" plays; "make test" plays 2,000.
SEEDS := 20000

.PHONY: help test race fuzz simulate restarts lint bench install vet format

help:
	@cat <<'END'
	make test      everything: install what is missing (as root on Debian), vet, gofmt, all tests
	make race      all tests under the race detector
	make fuzz      each fuzz target for $(FUZZTIME), $(FUZZTOTAL) in all; FUZZTIME=60s gives it more
	make simulate  $(SEEDS) hostile schedules on a simulated kernel
	make restarts  three minutes of restarts under load, where the probe is beside the module
	make bench     the short set of benchmarks, seven minutes; installs wrk, nginx and others, as root
	make lint      gofmt, vet, staticcheck
	END

test: install vet format
	@go test ./...
	cd bench && go test ./...

simulate:
	@go test ./loop -run 'TestSimulation$$' -v -seeds $(SEEDS) -timeout 30m

race:
	@CGO_ENABLED=1 go test -race ./...

restarts:
	@go test ./cmd/testbed -run RestartProbe -restartprobe 180s -timeout 20m

bench:
	@bash bench/install.sh
	(cd bench/chart && go test ./...)
	(cd bench/peers && go vet ./...)
	(cd bench/parser && go vet ./...)
	cd bench && go run . -servers all -workloads all -rounds 3 -seconds 1 -out results

lint: format vet
	@go run $(STATICCHECK) ./...
	echo "staticcheck: nothing found"

install:
	@bash .ci/install

vet:
	@go vet ./...

format:
	@files=$$(gofmt -l .)
	if [ -n "$$files" ]; then
		echo "gofmt -w would change: $$files" >&2
		exit 1
	fi

# Go's fuzzer may end in "context deadline exceeded" when its time is up and a
# worker is told so first; nothing was found then, and it is no failure.
fuzz:
	@targets=$$(go test -list '^Fuzz' ./... | awk '
		/^Fuzz/ { names[n++] = $$1 }
		/^ok/   { for (i = 0; i < n; i++) print $$2, names[i]; n = 0 }
	')
	count=$$(grep -c . <<<"$$targets" || true)
	if [ "$$count" = 0 ]; then
		echo "fuzz: no targets"
		exit
	fi
	total=$(FUZZTOTAL) each=$(FUZZTIME)
	share=$$(( $${total%s} / count ))
	seconds=$$(( $${each%s} < share ? $${each%s} : share > 0 ? share : 1 ))
	log=$$(mktemp)
	trap 'rm -f "$$log"' EXIT
	status=0
	while read -r package name; do
		echo "fuzz: $$package $$name, $${seconds}s"
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime "$${seconds}s" "$$package" </dev/null 2>&1 | tee "$$log" && continue
		if grep -q 'context deadline exceeded' "$$log" && ! grep -qE 'Failing input|panic:|hung or terminated' "$$log"; then
			echo "fuzz: $$name found nothing until its time was up"
			continue
		fi
		status=1
		sed -n 's/.*Failing input written to //p' "$$log" | while read -r input; do
			tail -n +1 -v "$$(go list -f '{{.Dir}}' "$$package")/$$input"
		done
	done <<<"$$targets"
	exit $$status
