# Apps that do wrong, for tests of a whole platform. Sourced after lib.sh.
# SPDX-License-Identifier: Apache-2.0
#
# The program is that of tests/support/villain.c.
VILLAIN=$PAAS_BIN/villain

# villain NAME ARGUMENTS [MEMBERS]: makes the directory of an app that runs `villain ARGUMENTS`;
# MEMBERS are more of its process, as JSON.
villain() {
    local words= memory='"memory": "32M", '
    [[ ${3:-} != *memory* ]] || memory=
    for word in $2; do words+=", \"$word\""; done
    mkdir -p "$WORK/$1"
    cp "$VILLAIN" "$WORK/$1/villain"
    app "$1" <<END
{ "stack": "scratch",
  "processes": { "web": { $memory"command": ["./villain"$words]${3:+, $3} } } }
END
}

# push_villain NAME ARGUMENTS [MEMBERS]: pushes it; nothing else makes sense if that fails.
push_villain() {
    local out
    villain "$@"
    out=$(paas push "$1" --path "$WORK/$1" 2>&1) || die "push $1: $out"
}

# neighbour: an app that must answer whatever others do.
neighbour() {
    local out
    out=$(paas push neighbour --path "$EXAMPLES/hello" 2>&1) || die "push neighbour: $out"
}

# id APP: of its instance that is healthy.
id() {
    paas ps "$1" -o json | jq -r '[.[] | select(.state == "healthy") | .id][0] // ""'
}

# now: milliseconds.
now() {
    echo $(($(date +%s%N) / 1000000))
}

# watch_app APP [RATE]: asks it all the time, from now on.
watch_app() {
    mkfifo "$WORK/$1.words"
    "$PAAS_BIN/load" "$HTTP" "$1.localhost" "${2:-50}" 8 <"$WORK/$1.words" >"$WORK/$1.load" \
        2>"$WORK/$1.failures" &
    WATCH=$!
    exec {WATCH_WORDS}>"$WORK/$1.words"
}

# served APP: ends that; each request must have been answered. Prints the percentiles.
served() {
    exec {WATCH_WORDS}>&-
    wait "$WATCH"
    echo "$1 meanwhile: $(cat "$WORK/$1.load")"
    [ "$(jq '.answered > 0 and .failed + .refused + .forgiven == 0' "$WORK/$1.load")" = true ] ||
        fail "$1 did not answer always: $(head -n 5 "$WORK/$1.failures")"
}

# unharmed: no part of the platform had to be started again.
unharmed() {
    equal "parts that died" "" "$(grep 'restarts=[1-9]' "$DATA/run/supervisor")"
}
