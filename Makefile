# Two targets matter: "make run" shows Weir at work, "make test" proves it.
GO ?= go
WEIR := bin/weir
EXAMPLE_PLUGINS := $(sort $(dir $(wildcard examples/plugins/*/main.go)))

.PHONY: help build plugins deps run test bench microbench torture fmt clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

build: ## build bin/weir
	@mkdir -p bin
	$(GO) build -o $(WEIR) ./cmd/weir

plugins: build ## build the example plugins to WebAssembly
	@for dir in $(EXAMPLE_PLUGINS); do ./$(WEIR) plugin build $$dir || exit 1; done

deps: ## install what the tour and the tests take from npm, as locked
	@for dir in $(sort $(dir $(shell git ls-files '*package-lock.json'))); do \
		(cd $$dir && npm ci --silent --no-fund --no-audit) || exit 1; done

run: build plugins deps ## the router, three receivers and GitHub's webhooks (ONCE=1: end by itself)
	$(GO) build -o bin/tour ./examples/tour
	@exec ./bin/tour $(if $(ONCE),-once)

test: build plugins deps ## run every test
	@sh .ci/gotest

bench: build ## measure the router against bare references (ROW=name: one row; ARGS='-turn 1s')
	$(GO) build -o bin/weirbench ./cmd/weirbench
	./bin/weirbench $(if $(ROW),-row $(ROW)) $(ARGS)

microbench: ## benchmarks of the hot paths, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./router/... ./plugins/...

torture: build plugins ## prove that nothing is lost, by hostile tests (ARGS='-proof kill -rounds 300')
	$(GO) build -o bin/weirtorture ./cmd/weirtorture
	./bin/weirtorture -weir $(WEIR) $(ARGS)

fmt: build ## format Go and HCL
	gofmt -w $$(git ls-files '*.go')
	./$(WEIR) fmt router.hcl

clean: ## remove what was built, not what a router stored
	rm -rf bin .run out examples/plugins/*/*.wasm
