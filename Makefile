SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help

# Programs that the targets below make or put there.
BIN := bin
TOOL := go tool -modfile=hack/tools/go.mod
GOLANGCI_LINT := $(BIN)/golangci-lint
HELM := $(BIN)/helm

# KUBEBUILDER_ASSETS, when set, is used as it is; else what `make control-plane` makes.
ASSETS = $(or $(KUBEBUILDER_ASSETS),$(CURDIR)/$(BIN)/control-plane)

##@ Development

.PHONY: help
help: ## Say what each target does.
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: generate
generate: ## Generate deepcopy methods.
	$(TOOL) controller-gen object paths=./api/...

.PHONY: manifests
manifests: ## Generate the CRDs, and the operator's ClusterRole from the markers beside its code.
	$(TOOL) controller-gen crd:crdVersions=v1 paths=./api/... output:crd:artifacts:config=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=trailkeeper-manager paths=./... output:rbac:artifacts:config=config/rbac
	@$(MAKE) --no-print-directory chart

.PHONY: chart
chart: ## Copy what the Helm chart has in common with config into it.
	hack/chart.sh

.PHONY: docs
docs: ## Generate the API reference in docs/reference/api.md.
	@mkdir -p docs/reference
	$(TOOL) crd-ref-docs --source-path=api --config=hack/api-reference.yaml --renderer=markdown --output-path=docs/reference/api.md

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code and sort its imports.
	$(GOLANGCI_LINT) fmt

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Lint the code; the first time this builds golangci-lint with kube-api-linter (2 min).
	$(GOLANGCI_LINT) run

.PHONY: test
test: control-plane build helm ## Run every test, with all the set-up they need.
	hack/test.sh

.PHONY: test-oldest
test-oldest: build helm ## Run every test on the oldest Kubernetes that is supported, which is built from Go modules.
	hack/control-plane.sh oldest
	KUBEBUILDER_ASSETS=$(CURDIR)/$(BIN)/control-plane-oldest hack/test.sh

.PHONY: soak
soak: control-plane build helm ## Run the long forms of the tests in test/, with every fault, one package after the other (about an hour and a half).
	CGO_ENABLED=0 KUBEBUILDER_ASSETS=$(ASSETS) TRAILKEEPER_SOAK=1 go test -count=1 -p 1 -timeout 60m ./test/...
	cd hack/image && GOWORK=off go test -count=1 -timeout 30m ./...

.PHONY: verify
verify: $(GOLANGCI_LINT) ## Check that generated files are current, and format, vet, lint, module files and scripts.
	hack/verify.sh

.PHONY: vulncheck
vulncheck: ## Check what is built against Go's database of known vulnerabilities.
	hack/vulncheck.sh

##@ Installing

# IMAGE is the name and tag of the image that is built, pushed and installed.
IMAGE ?= trailkeeper-manager:dev

.PHONY: image
image: ## Build the image for amd64 and arm64 into bin/image, without Docker; IMAGE=NAME:TAG.
	IMAGE=$(IMAGE) hack/image.sh

.PHONY: image-push
image-push: ## Push what `make image` built; IMAGE=REGISTRY/NAME:TAG.
	cd hack/image && GOWORK=off go run . push -tar $(CURDIR)/$(BIN)/image/trailkeeper-manager.tar $(IMAGE)

.PHONY: deploy
deploy: ## Install into the cluster of your kubeconfig, with the image IMAGE.
	kubectl kustomize config/default | sed 's#image: trailkeeper-manager:dev#image: $(IMAGE)#' | kubectl apply --server-side -f -

.PHONY: undeploy
undeploy: ## Uninstall in the right order; trails, events, CRDs and the namespace stay.
	hack/undeploy.sh

.PHONY: helm
helm: $(HELM) ## Build bin/helm, which the tests of the chart use (3 min the first time).

.PHONY: e2e
e2e: helm ## Test on the cluster of KUBECONFIG, with a command that loads an image tar: LOAD_IMAGE="kind load image-archive".
	KUBECONFIG=$(KUBECONFIG) LOAD_IMAGE="$(LOAD_IMAGE)" hack/e2e.sh

##@ Running

.PHONY: control-plane
control-plane: ## Put etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl under bin/control-plane (8 min the first time).
	hack/control-plane.sh

.PHONY: build
build: ## Build bin/manager and bin/kubectl-trail.
	CGO_ENABLED=0 go build -ldflags "-s -w" -o $(BIN)/manager ./cmd/manager
	CGO_ENABLED=0 go build -ldflags "-s -w" -o $(BIN)/kubectl-trail ./cmd/kubectl-trail

.PHONY: demo
demo: control-plane build ## Show everything on this machine; ARGS=--once exits afterwards.
	CGO_ENABLED=0 KUBEBUILDER_ASSETS=$(ASSETS) go run ./cmd/demo $(ARGS)

.PHONY: bench
bench: control-plane build ## Measure; prints a table and writes bin/bench.json.
	CGO_ENABLED=0 KUBEBUILDER_ASSETS=$(ASSETS) go run ./test/bench $(ARGS)

.PHONY: console-pictures
console-pictures: control-plane ## Try the console in Chromium, and make its pictures in docs/pictures.
	hack/web.sh
	CGO_ENABLED=0 KUBEBUILDER_ASSETS=$(ASSETS) TRAILKEEPER_PICTURES=docs/pictures go test -count=1 -timeout 10m ./test/console

.PHONY: clean
clean: ## Remove what was built, the control plane too.
	rm -rf $(BIN)

$(GOLANGCI_LINT): hack/tools/go.mod hack/tools/go.sum hack/tools/golangci-lint/main.go
	@echo "Building golangci-lint with kube-api-linter (about 2 min on two cores the first time)"
	cd hack/tools && GOWORK=off go build -o $(CURDIR)/$@ ./golangci-lint

$(HELM): hack/helm/go.mod hack/helm/go.sum
	@echo "Building Helm (about 3 min on two cores the first time)"
	cd hack/helm && GOWORK=off go build -o $(CURDIR)/$@ helm.sh/helm/v4/cmd/helm
