# kluster: "make cluster" gives a cluster, "make test" passes all tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# "test" installs what its parts need before they run, also with make -j.
.NOTPARALLEL:

export GOFLAGS += -buildvcs=false
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
CLI := github.com/kluster-project/kluster/internal/cli
KLUSTER := bin/kluster

# Specs that "make integration" runs, as a ginkgo label filter.
LABELS ?= !long
# Nodes that "make cluster" makes.
NODES ?= 3
# Flags of "kluster e2e run" for "make conformance".
E2E ?=
# Flags of the chaos suite for "make chaos", of ginkgo.
CHAOS ?=
# Flags of bin/kluster-bench for "make bench", and a kind to measure beside it.
BENCH ?=
KIND ?=
KIND_IMAGE ?=
# How long "make fuzz" gives each fuzz test.
FUZZTIME ?= 10s
# 1: unit tests that need a Docker engine fail where there is none, else they skip.
KLUSTER_REQUIRE_ENGINE ?= 1

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: cluster
cluster: build engine ## make a cluster of three nodes, from nothing but Go, git and root or a Docker engine
	KLUSTER=$(KLUSTER) hack/cluster.sh $(NODES)
	$(KLUSTER) kubectl --cluster kluster --save bin/kubectl
	@echo "next: $(KLUSTER) kubectl --cluster kluster -- get nodes"

.PHONY: test
test: tools unit lint integration smoke ## install what tests need, then run them all

.PHONY: build
build: ## build bin/kluster and bin/kluster-node
	CGO_ENABLED=0 go build -trimpath -ldflags '-X $(CLI).version=$(VERSION) -X $(CLI).commit=$(COMMIT)' -o bin/ ./cmd/kluster
	@# Not stamped: the same program gives the same node image.
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/kluster-node

.PHONY: tools
tools: build engine ## install what tests need: a C compiler, a Docker engine, programs that unit tests run
	hack/need.sh gcc=gcc /usr/include/stdlib.h=libc6-dev
	hack/need.sh --wish "some unit tests will be skipped" haproxy=haproxy nft=nftables gpgv=gpgv gpg=gpg
	hack/need.sh --wish "e2e's reports are not tried in a browser" 'chromium-headless-shell=chromium-headless-shell|chromium' || echo "note: no browser: tests that need one are skipped" >&2

.PHONY: engine
engine: build ## find a Docker engine; as root on Debian or Ubuntu install and start one
	hack/need.sh --wish "a node image cannot be built" mmdebstrap=mmdebstrap /usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring
	KLUSTER=$(KLUSTER) hack/engine.sh

.PHONY: unit
unit: ## run the unit tests, with the race detector (KLUSTER_REQUIRE_ENGINE=0: also without an engine)
	KLUSTER_REQUIRE_ENGINE=$(KLUSTER_REQUIRE_ENGINE) CGO_ENABLED=1 go test -race -timeout 15m $$(go list ./... | grep -v /e2e/suites/)

.PHONY: fuzz
fuzz: ## let each fuzz test look for new inputs, for FUZZTIME (their known ones are unit tests)
	go test ./internal/config -run='^$$' -fuzz='^FuzzParse$$' -fuzztime=$(FUZZTIME)
	go test ./internal/config -run='^$$' -fuzz='^FuzzPatches$$' -fuzztime=$(FUZZTIME)
	go test ./internal/config -run='^$$' -fuzz='^FuzzPort$$' -fuzztime=$(FUZZTIME)
	go test ./internal/scenario -run='^$$' -fuzz='^FuzzParse$$' -fuzztime=$(FUZZTIME)
	go test ./internal/nodeagent/delay -run='^$$' -fuzz='^FuzzMessages$$' -fuzztime=$(FUZZTIME)
	go test ./internal/kubeconfig -run='^$$' -fuzz='^FuzzMerge$$' -fuzztime=$(FUZZTIME)
	go test ./e2e/report -run='^$$' -fuzz='^FuzzParse$$' -fuzztime=$(FUZZTIME)
	go test ./e2e/runner -run='^$$' -fuzz='^FuzzJournal$$' -fuzztime=$(FUZZTIME)
	go test ./e2e/timings -run='^$$' -fuzz='^FuzzParse$$' -fuzztime=$(FUZZTIME)
	go test ./internal/status -run='^$$' -fuzz='^FuzzCut$$' -fuzztime=$(FUZZTIME)
	go test ./internal/nodeagent/registry -run='^$$' -fuzz='^FuzzIndex$$' -fuzztime=$(FUZZTIME)
	go test ./internal/cluster -run='^$$' -fuzz='^FuzzParseImages$$' -fuzztime=$(FUZZTIME)
	go test ./internal/imageload -run='^$$' -fuzz='^FuzzArchive$$' -fuzztime=$(FUZZTIME)
	go test ./internal/imageload -run='^$$' -fuzz='^FuzzHeld$$' -fuzztime=$(FUZZTIME)
	go test ./internal/offline -run='^$$' -fuzz='^FuzzOpen$$' -fuzztime=$(FUZZTIME)
	go test ./e2e/plan -run='^$$' -fuzz='^FuzzConformance$$' -fuzztime=$(FUZZTIME)
	go test ./e2e/preflight -run='^$$' -fuzz='^FuzzImages$$' -fuzztime=$(FUZZTIME)
	go test ./e2e/evidence -run='^$$' -fuzz='^FuzzFolderName$$' -fuzztime=$(FUZZTIME)
	go test ./internal/redact -run='^$$' -fuzz='^FuzzText$$' -fuzztime=$(FUZZTIME)
	go test ./internal/nodeagent/netpol -run='^$$' -fuzz='^FuzzCompile$$' -fuzztime=$(FUZZTIME)
	go test ./internal/trace -run='^$$' -fuzz='^FuzzParseStat$$' -fuzztime=$(FUZZTIME)
	go test ./internal/trace/nodelog -run='^$$' -fuzz='^FuzzReaders$$' -fuzztime=$(FUZZTIME)

.PHONY: lint
lint: bin/golangci-lint ## run the linters
	bin/golangci-lint run ./...

bin/golangci-lint: hack/tools/go.mod hack/tools/go.sum
	go build -C hack/tools -o $(CURDIR)/bin/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: integration
integration: build ## run the specs against real clusters (LABELS= for all)
	$(KLUSTER) build node-image
	KLUSTER_INTEGRATION=1 KLUSTER_BIN=$(CURDIR)/$(KLUSTER) \
		go test -count=1 -p 1 -timeout 60m ./e2e/suites/... -ginkgo.label-filter='$(LABELS)'

.PHONY: integration-all
integration-all: ## run all specs, the long ones too
	$(MAKE) integration LABELS=

.PHONY: smoke
smoke: build ## run a dozen of Kubernetes' own conformance specs on a cluster made for them
	rm -rf bin/e2e-smoke
	$(KLUSTER) e2e run --suite smoke --create --report-dir bin/e2e-smoke

.PHONY: conformance
conformance: build engine ## run all of Kubernetes' conformance specs (E2E='--clusters 2' and other flags)
	$(KLUSTER) e2e run --suite conformance --create --report-dir bin/e2e-conformance-$$(date +%Y%m%d-%H%M%S) $(E2E)

.PHONY: chaos
chaos: build engine ## break a cluster in every way there is, and report how it took it (bin/chaos.md; CHAOS='-ginkgo.focus kill')
	$(KLUSTER) build node-image
	KLUSTER_INTEGRATION=1 KLUSTER_BIN=$(CURDIR)/$(KLUSTER) \
		go test -v -count=1 -timeout 60m ./e2e/suites/chaos -ginkgo.v $(CHAOS)

.PHONY: offline
offline: build engine ## make a bundle, and a cluster of it on a second engine without a network (as root)
	KLUSTER_INTEGRATION=1 KLUSTER_BIN=$(CURDIR)/$(KLUSTER) \
		go test -count=1 -timeout 120m ./e2e/suites/offline -ginkgo.v

.PHONY: engine-restarts
engine-restarts: build engine ## end, kill and start an engine of its own under a cluster, and fill its disk (as root)
	KLUSTER_INTEGRATION=1 KLUSTER_BIN=$(CURDIR)/$(KLUSTER) \
		go test -count=1 -timeout 120m ./e2e/suites/engine -ginkgo.v

.PHONY: bench
bench: build engine ## measure creates and deletes against the floor (BENCH='-only 1,3 -n 3', KIND=path KIND_IMAGE=name)
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/kluster-bench
	bin/kluster-bench -kluster $(KLUSTER) -kind '$(KIND)' -kind-image '$(KIND_IMAGE)' -json bin/bench.json $(BENCH)

.PHONY: docs
docs: ## write docs/cli anew
	go test ./internal/cli -run TestDocs -update

.PHONY: clean
clean: ## remove what was built; clusters and the cache stay
	rm -rf bin
