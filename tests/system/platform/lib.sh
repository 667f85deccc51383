# What tests of a whole platform share: starting one, asking it, ending it, counting what is left.
# Sourced, not run. SPDX-License-Identifier: Apache-2.0
#
# PAAS_BIN is the folder of the programs, EXAMPLES that of the examples (tests/CMakeLists.txt sets
# both). Every wait is for an event and has a deadline; the platform ends with the test, whatever
# its result.
set -u
: "${PAAS_BIN:?is the folder of the programs}"
: "${EXAMPLES:?is the folder of the examples}"
export PATH="$PAAS_BIN:$PATH"
WORK=$(mktemp -d /tmp/paas-system.XXXXXX)
chmod 711 "$WORK"
DATA=$WORK/data
export PAAS_API=unix:$DATA/run/api.sock
export NO_COLOR=1
FAILURES=0

# crashes: what the parts' logs tell of bugs that no request met: sanitizers' words, and deaths by
# signals that nobody sends.
crashes() {
    find "$WORK" -path '*/log/*.log' -exec grep -HE \
        'ERROR: [A-Za-z]+Sanitizer|runtime error:|was ended by SIG(SEGV|ABRT|BUS|ILL|FPE)' {} +
}

finish() {
    local status=$?
    trap - EXIT
    paas down --data "$DATA" >/dev/null 2>&1
    crashes && fail "a part has a bug"
    if [ $status -ne 0 ] || [ $FAILURES -ne 0 ]; then
        for log in "$DATA"/log/*.log; do
            [ -f "$log" ] && { echo "--- $log"; tail -n 40 "$log"; }
        done
        status=1
    fi
    grep -o " $WORK[^ ]*" /proc/self/mountinfo | sort -r | xargs -r umount
    rm -rf "$WORK"
    exit $status
}
trap finish EXIT

# fail WORDS: says what is wrong; the test goes on and fails at its end.
fail() {
    echo "FAILED: $*"
    FAILURES=$((FAILURES + 1))
}

# die WORDS: nothing that follows makes sense.
die() {
    fail "$@"
    exit 1
}

# equal WHAT EXPECTED GOT
equal() {
    [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
}

# contains WHAT TEXT PART
contains() {
    case $2 in
    *"$3"*) ;;
    *) fail "$1: \"$3\" is not in: $2" ;;
    esac
}

# within SECONDS COMMAND…: tries until it succeeds.
within() {
    local deadline=$(($(date +%s%N) / 1000000 + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $(($(date +%s%N) / 1000000)) -lt $deadline ] || return 1
        sleep 0.02
    done
}

# up [OPTION…]: starts the platform on a free port.
up() {
    local try
    for try in 1 2 3 4 5; do
        HTTP=127.0.0.1:$((20000 + RANDOM % 20000))
        paas up --data "$DATA" --http "$HTTP" --detach "$@" >"$WORK/up" 2>&1 && return 0
        grep -q "Address already in use" "$WORK/up" || break
    done
    cat "$WORK/up"
    die "the platform does not start"
}

# pid PART: of supervisor, scheduler, agent, spawner or proxy.
pid() {
    paas status -o json | jq -r ".pids.$1"
}

# get APP [PATH]: what a client gets.
get() {
    curl -s -m 10 -H "Host: $1.localhost" "http://$HTTP${2:-/}"
}

# status_of APP [PATH]: the HTTP status that a client gets.
status_of() {
    curl -s -m 10 -o /dev/null -w '%{http_code}' -H "Host: $1.localhost" "http://$HTTP${2:-/}"
}

# answers APP PATTERN: true if the app's answer fits.
answers() {
    get "$1" | grep -q "$2"
}

# healthy APP N: true if exactly N instances are healthy and nothing else of it runs; what sleeps
# does not run.
healthy() {
    [ "$(paas ps "$1" -o json | jq -r '[.[].state | select(. != "frozen")] | sort | join(" ")')" = \
        "$(yes healthy | head -n "$2" | paste -s -d ' ')" ]
}

# app NAME: makes the directory of an app from a paas.json on standard input.
app() {
    mkdir -p "$WORK/$1"
    cat >"$WORK/$1/paas.json"
}

# made_ahead: the ids of sandboxes in which nothing ran yet, or that are not finished.
made_ahead() {
    local dir
    for dir in "$DATA"/run/agent/instances/*/; do
        [ -d "$dir" ] && [ ! -e "$dir/record" ] && basename "$dir"
    done
}

# census: what the kernel and the run directory hold of this platform, as numbers. Others may be at
# work on the same machine. Sandboxes made ahead come and go, and do not count.
census() {
    local name=paas$(cat "$DATA/platform") ahead groups pids devices instances
    ahead=$(made_ahead | sed "s|.*|/$name/instances/&|")
    groups=$(find /sys/fs/cgroup -type d -path "*/$name/*" 2>/dev/null)
    processes() { sed 's|$|/cgroup.procs|' | xargs -r cat 2>/dev/null | sort -u; }
    # By number: in some trees what is not used yet lies in a group above its own.
    pids=$(comm -23 <(processes <<<"$groups") \
        <(grep -f <(echo "${ahead:-/none/}") <<<"$groups" | processes))
    groups=$(grep -vf <(echo "${ahead:-/none/}") <<<"$groups")
    echo "processes $(wc -w <<<"$pids")"
    echo "namespaces $(for p in $pids; do readlink "/proc/$p/ns/net"; done | sort -u | wc -l)"
    echo "cgroups $(grep -c "/$name/instances/" <<<"$groups")"
    echo "mounts $(grep -c "$DATA" /proc/self/mountinfo) $(wc -l <"/proc/$(pid spawner)/mountinfo")"
    # Devices made ahead, too: eight, and a few whose turn has passed.
    devices=$(ls /sys/class/net | grep -c "^p${name#paas}i")
    instances=$(find /sys/fs/cgroup -path "*/$name/instances/*/app" 2>/dev/null | wc -l)
    echo "devices too many $((devices > instances + 12 ? devices : 0))"
    echo "rules $(nft -t list table inet "$name" | wc -l)"
    echo "uploads $(find "$DATA/scheduler/registry/uploads" -type f 2>/dev/null | wc -l)"
}

# settled_census: the same once two in a row agree: helpers of what was just done have ended.
settled_census() {
    local last now
    last=$(census)
    until now=$(census) && [ "$now" = "$last" ]; do last=$now; done
    echo "$now"
}
