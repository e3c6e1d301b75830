#!/usr/bin/env bash
# Every test, in order of patience: native, interpreted by Yaegi, end to end. The last line counts them.
#     test.sh            all that take no root
#     test.sh providers  the examples, executed: the file provider, a real dockerd, a real kube-apiserver; as root
#     test.sh full       beside those an S3 server, pacing over a minute, and all of it with a Traefik that is a year older, and the soaks
# A test that is skipped counts as a failure, for it did not prove anything.
set -uo pipefail
cd "$(dirname "$0")/.."
what=${1:-}
case $what in
"") e2e/tools.sh || exit ;;
providers) e2e/tools.sh providers || exit ;;
full) e2e/tools.sh && e2e/tools.sh providers || exit ;;
*) echo "usage: $0 [providers|full]" >&2; exit 2 ;;
esac
if [[ -n $what ]]; then
	if [[ $EUID -ne 0 ]]; then
		echo "The tests of the providers make network namespaces and run dockerd: run them as root." >&2
		exit 1
	fi
	if ! refused=$(unshare --net --mount true 2>&1); then
		echo "The tests of the providers make network namespaces and mounts, which is refused here: $refused" >&2
		echo "In a container they take --privileged." >&2
		exit 1
	fi
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
run() {
	echo "# $1"
	shift
	"$@" 2>&1 | tee -a "$log"
	[[ ${PIPESTATUS[0]} -eq 0 ]] || failed=1
}

drivers() { run "browser drivers" npm ci --prefix e2e/internal/browser --no-audit --no-fund --ignore-scripts; }

everything() {
	run "native, with the race detector" go test -v -race -timeout 10m ./...
	run "interpreted" go test -C e2e -v -count=1 -timeout 10m ./interpreted
	# The rest needs Traefik; here one can see that it is being built, and within no test's time limit.
	run "Traefik" go run -C e2e ./cmd/traefik
	drivers
	mapfile -t packages < <(cd e2e && go list ./... | grep -vE '/(interpreted|providers)$')
	# One package at a time: browsers and clocks are watched, and a machine with other work shows pictures late.
	run "end to end" go test -C e2e -v -count=1 -p 1 -timeout 20m -skip '^TestFull' "${packages[@]}"
}

providers() {
	run "Traefik" go run -C e2e ./cmd/built traefik
	run "kube-apiserver" go run -C e2e ./cmd/built kubernetes
	run "providers" go test -C e2e -v -count=1 -timeout 10m -skip '^TestFull' ./providers
}

full() {
	run "Traefik" go run -C e2e ./cmd/built traefik
	drivers
	run "S3 server" go run -C e2e ./cmd/built s3
	run "S3, and pacing over a minute" go test -C e2e -v -count=1 -timeout 10m -run '^TestFull' ./providers ./seek
	local older
	if ! older=$(go run -C e2e ./cmd/built older); then
		failed=1
		return
	fi
	run "kube-apiserver" go run -C e2e ./cmd/built kubernetes
	run "$older: cuts and providers" env TRAEFIK_BIN="$older" go test -C e2e -v -count=1 -timeout 20m -p 1 -skip '^TestFullPace' ./seek ./providers
	# Soaks go on for as long as SOAK says.
	local soaks
	mapfile -t soaks < <(grep -rl --include='*_test.go' '^func TestSoak' e2e | xargs -r -n 1 dirname | sort -u)
	[[ ${#soaks[@]} -gt 0 ]] || run "soak" sh -c 'echo "there is no soak to run"; exit 1'
	for soak in "${soaks[@]}"; do
		run "soak" env SOAK="${SOAK:-10m}" go test -C e2e -v -count=1 -timeout 60m -run '^TestSoak' "./${soak#e2e/}"
	done
}

case $what in
"") everything ;;
*) "$what" ;;
esac

count() { grep -cE "^ *--- $1: " "$log"; }
skipped=$(count SKIP)
[[ $skipped -eq 0 ]] || failed=1
if [[ $failed -ne 0 ]]; then
	echo "# what failed"
	# What each failed test said, without its parts that passed; of much, the first and the last.
	awk -v most=120 '
		/^=== RUN +[^\/]+$/ { n = 0 }
		!/^ *(=== |--- PASS)/ { said[n++] = $0 }
		/^--- FAIL/ {
			for (i = 0; i < n; i++) {
				if (i < most / 2 || i >= n - most / 2) print said[i]
				else if (i == most / 2) print "        [" n - most " lines left out]"
			}
			n = 0
		}' "$log"
	grep -E '^( *--- (FAIL|SKIP)|FAIL|panic)' "$log"
fi
echo "tests: $(count PASS) passed, $(count FAIL) failed, $skipped skipped"
exit $failed
