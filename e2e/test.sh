#!/usr/bin/env bash
# Every test, in order of patience: native, interpreted by Yaegi, end to end. The last line counts them.
# A test that is skipped counts as a failure, for it did not prove anything.
set -uo pipefail
cd "$(dirname "$0")/.."
e2e/tools.sh || exit

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
run() {
	echo "# $1"
	shift
	"$@" 2>&1 | tee -a "$log"
	[[ ${PIPESTATUS[0]} -eq 0 ]] || failed=1
}

run "native, with the race detector" go test -v -race -timeout 10m ./...
run "interpreted" go test -C e2e -v -count=1 -timeout 10m ./interpreted
# The rest needs Traefik; here one can see that it is being built, and within no test's time limit.
run "Traefik" go run -C e2e ./cmd/traefik
if [[ -e e2e/browser/package-lock.json ]]; then
	run "browser drivers" npm ci --prefix e2e/browser --no-audit --no-fund --ignore-scripts
fi
mapfile -t packages < <(cd e2e && go list ./... | grep -v '/interpreted$')
run "end to end" go test -C e2e -v -count=1 -timeout 20m "${packages[@]}"

count() { grep -cE "^ *--- $1: " "$log"; }
skipped=$(count SKIP)
[[ $skipped -eq 0 ]] || failed=1
if [[ $failed -ne 0 ]]; then
	echo "# what failed"
	grep -E '^( *--- (FAIL|SKIP)|FAIL|panic)' "$log"
fi
echo "tests: $(count PASS) passed, $(count FAIL) failed, $skipped skipped"
exit $failed
