.PHONY: help demo test test-providers test-full bench lint vendor tools traefik clean distclean

# The times are those of two cores, with Go's cache filled, and all installed and built that is installed and built once:
# packages of the distribution, Traefik (four minutes), for test-providers kube-apiserver (five more).
help:
	@echo 'make demo             Traefik with the plugin on http://127.0.0.1:8080, and a page with a player and a timeline: seconds'
	@echo 'make test             every test: native, interpreted by Yaegi, and end to end through a real Traefik: 17 minutes'
	@echo 'make test ONLY=NAME   of these one group: native, interpreted, bench, or a folder of e2e, as seek; or one test by its name'
	@echo 'make test-providers   the examples, executed: file provider, a real dockerd, a real kube-apiserver; as root: 5 minutes'
	@echo 'make test-full        an S3 server and presigned addresses, a Traefik that is a year older, the soaks; as root: an hour'
	@echo 'make bench            measure against nginx: bench/results: 10 minutes'
	@echo 'make lint             gofmt, go vet, staticcheck, and what the plugin may import: a minute'
	@echo 'make vendor           vendor/ and go.sum from go.mod: seconds'
	@echo 'make tools            install what the tests need beside Go, by apt-get: minutes'
	@echo 'make traefik          build Traefik, or find it, and print its path: once, four minutes'
	@echo 'make clean            remove what was made in here; make distclean: also the Traefik in the cache'

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
	e2e/tools.sh all
	e2e/tools.sh providers

traefik:
	@go run -C e2e ./cmd/built traefik

clean:
	rm -rf e2e/internal/browser/node_modules

distclean: clean
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/traefik-mp4"
