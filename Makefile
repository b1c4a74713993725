# Two targets matter: "make run" shows Weir at work, "make test" proves it.
GO ?= go
WEIR := bin/weir
EXAMPLE_PLUGINS := $(sort $(dir $(wildcard examples/plugins/*/README.md)))
# What router.hcl names: Go alone builds these.
ROUTER_PLUGINS := examples/plugins/github-default-branch/ examples/plugins/github-slack/
# The folders of plugins without an SDK begin with stdio-.
build_plugins = @for dir in $(1); do \
	case $$dir in */stdio-*) abi=stdio;; *) abi=weir;; esac; \
	./$(WEIR) plugin build --abi $$abi $$dir || exit 1; done

.PHONY: help build plugins router-plugins toolchains deps run test bench microbench pages screenshots torture fmt clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

build: ## build bin/weir
	@mkdir -p bin
	$(GO) build -o $(WEIR) ./cmd/weir

plugins: build ## build the example plugins to WebAssembly
	$(call build_plugins,$(EXAMPLE_PLUGINS))

router-plugins: build
	$(call build_plugins,$(ROUTER_PLUGINS))

toolchains: ## install the compilers that the tests build plugins with (Debian), or say which
	@sh .ci/toolchains

deps: ## install what the tour and the tests take from npm, as locked
	@for dir in $(sort $(dir $(shell git ls-files '*package-lock.json'))); do \
		(cd $$dir && npm ci --silent --no-fund --no-audit) || exit 1; done

run: build router-plugins deps ## the router, three receivers and GitHub's webhooks (ONCE=1: end by itself)
	$(GO) build -o bin/tour ./examples/tour
	@exec ./bin/tour $(if $(ONCE),-once)

test: build toolchains router-plugins deps ## run every test
	@sh .ci/gotest

bench: build ## measure the router against bare references (ROW=name: one row; ARGS='-turn 1s')
	$(GO) build -o bin/weirbench ./cmd/weirbench
	./bin/weirbench $(if $(ROW),-row $(ROW)) $(ARGS)

microbench: ## benchmarks of the hot paths, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./router/... ./plugins/...

pages: ## open every page and run every search of the dashboard with a million events stored
	$(GO) test ./router/dashboard -run TestPagesOfAMillion -count=1 -v -events 1000000

screenshots: router-plugins deps ## make the pictures of the dashboard anew that the documentation shows
	$(GO) test ./router/dashboard -run TestBrowser -count=1 -pictures $(CURDIR)/docs

torture: build router-plugins ## prove that nothing is lost, by hostile tests (ARGS='-proof kill -rounds 300')
	$(GO) build -o bin/weirtorture ./cmd/weirtorture
	./bin/weirtorture -weir $(WEIR) $(ARGS)

fmt: build ## format Go and HCL
	gofmt -w $$(git ls-files '*.go')
	./$(WEIR) fmt router.hcl

clean: ## remove what was built, not what a router stored
	rm -rf bin .run out examples/plugins/*/*.wasm
