# What benchmarks share: arguments, peers, percentiles, rows. Sourced, not run.
# SPDX-License-Identifier: Apache-2.0
#
# Every bench: NAME [--quick] [-o json] [--build DIR]; people's table on stdout, or with -o json one
# row a line: {"bench","case","subject","metric","unit","p50","p99","n","ratio_to","ratio"}.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${PAAS_BUILD:-$here/../../build}
bench=$(basename "$0")
quick= json=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    -o) shift; [ "$1" = json ] && json=1 ;;
    --build) shift; build=$1 ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
build=$(cd "$build" && pwd)
[ -x "$build/bin/paas" ] || { echo "there is no $build/bin/paas: build first" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "instances need root: sudo tests/bench/$bench" >&2; exit 1; }
work=$(mktemp -d "/tmp/paas-bench-$bench.XXXXXX")
chmod 711 "$work"
cleanup_more() { :; }
cleanup() {
    trap - EXIT INT TERM
    cleanup_more || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
paas=$build/bin/paas

# need TOOL:PACKAGE…: installs from Debian what is not there.
need() {
    local tool missing=
    for tool in "$@"; do
        command -v "${tool%:*}" >/dev/null || missing="$missing ${tool#*:}"
    done
    [ -z "$missing" ] || apt-get install -y -q --no-install-recommends $missing >&2
}

# percentile FILE P: of one number a line.
percentile() {
    sort -n "$1" | awk -v p="$2" '{ v[NR] = $1 } END { i = int((NR * p + 99) / 100); print v[i < 1 ? 1 : i] }'
}

# row CASE SUBJECT METRIC UNIT FILE [REFERENCE_SUBJECT REFERENCE_FILE]: one line of the table. FILE
# has one number a line; the ratio is of medians, the reference's over this one's.
row() {
    local p50 p99 n ratio=null to=null shown=
    p50=$(percentile "$5" 50) p99=$(percentile "$5" 99) n=$(wc -l <"$5")
    if [ $# -ge 7 ]; then
        ratio=$(awk -v a="$(percentile "$7" 50)" -v b="$p50" 'BEGIN { printf "%.2f", b ? a / b : 0 }')
        to=\"$6\" shown="  $6 is $ratio times that"
    fi
    if [ "$json" ]; then
        printf '{"bench":"%s","case":"%s","subject":"%s","metric":"%s","unit":"%s","p50":%s,"p99":%s,"n":%s,"ratio_to":%s,"ratio":%s}\n' \
            "$bench" "$1" "$2" "$3" "$4" "$p50" "$p99" "$n" "$to" "$ratio"
    else
        printf '%-22s %-10s %-12s p50 %10s  p99 %10s %-4s n=%-4s%s\n' "$1" "$2" "$3" "$p50" "$p99" "$4" "$n" "$shown"
    fi
}

# platform_up: starts a platform of the bench's own; HTTP_PORT and PAAS_API are set.
platform_up() {
    HTTP_PORT=$((20000 + RANDOM % 20000))
    export PAAS_API=unix:$work/data/run/api.sock
    "$paas" up --data "$work/data" --http "127.0.0.1:$HTTP_PORT" --detach >/dev/null
    cleanup_more() { "$paas" down --data "$work/data" >/dev/null 2>&1; }
}
