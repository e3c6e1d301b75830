.PHONY: help demo test test-providers test-full bench lint vendor tools traefik clean distclean

help:
	@echo 'make demo       Traefik with the plugin on http://127.0.0.1:8080, and a page with a player and a timeline'
	@echo 'make test       every test: native, interpreted by Yaegi, and end to end through a real Traefik'
	@echo 'make test-providers   the examples, executed: file provider, a real dockerd, a real kube-apiserver; as root'
	@echo 'make test-full        an S3 server and presigned addresses, a Traefik that is a year older, the soaks; as root'
	@echo 'make bench      measure against nginx: bench/results, in less than ten minutes'
	@echo 'make lint       gofmt, go vet, staticcheck, and what the plugin may import'
	@echo 'make vendor     vendor/ and go.sum from go.mod'
	@echo 'make tools      install what the tests need beside Go, by apt-get'
	@echo 'make traefik    build Traefik, or find it, and print its path'
	@echo 'make clean      remove what was made in here; make distclean: also the Traefik in the cache'

demo:
	cd e2e && go run ./demo

test:
	e2e/test.sh

test-providers:
	e2e/test.sh providers

test-full:
	e2e/test.sh full

bench:
	e2e/tools.sh bench
	cd bench && go run .

lint:
	e2e/lint.sh

vendor:
	go mod tidy && go mod vendor

tools:
	e2e/tools.sh
	e2e/tools.sh providers

traefik:
	@cd e2e && go run ./cmd/traefik

clean:
	rm -rf e2e/internal/browser/node_modules

distclean: clean
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/traefik-mp4"
