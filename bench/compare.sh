#!/bin/bash
# Compares the micro-benchmarks of another commit with those of this tree: both are
# built, run in turn, and benchstat says which differences are more than noise.
#
#	bench/compare.sh COMMIT [ROUNDS]      10 rounds, some two minutes
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
base=${1:?the commit to compare with}
rounds=${2:-10}
benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
packages=(httpparse conn loop)
pattern='^Benchmark(Head|Get|Pipelined16|Post1K|Carry|Counting)$'

dir=$(mktemp -d)
end() {
	git -C "$here" worktree remove --force "$dir/base" 2>/dev/null || true
	rm -rf "$dir"
}
trap end EXIT
git worktree add -q --detach "$dir/base" "$base"
for p in "${packages[@]}"; do
	go test -c -o "$dir/this.$p" "./$p"
	(cd "$dir/base" && go test -c -o "$dir/base.$p" "./$p")
done
for ((i = 1; i <= rounds; i++)); do
	for p in "${packages[@]}"; do
		for side in base this; do
			tree=.
			[ $side = base ] && tree=$dir/base
			(cd "$tree/$p" && "$dir/$side.$p" -test.run '^$' -test.bench "$pattern" -test.benchtime 100ms) >>"$dir/$side.txt"
		done
	done
	echo "round $i of $rounds" >&2
done
cd "$dir" && go run "$benchstat" base.txt this.txt
