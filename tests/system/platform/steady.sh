# Apps that run tests/support/steady.c, and who asks them. Sourced after lib.sh.
# SPDX-License-Identifier: Apache-2.0

# push_steady NAME MEMBERS [ARGUMENT…]: makes and pushes it; MEMBERS are more of its process, as JSON.
push_steady() {
    local name=$1 members=$2 words= word
    shift 2
    for word in "$@"; do words+=", \"$word\""; done
    mkdir -p "$WORK/$name"
    cp "$PAAS_BIN/steady" "$WORK/$name/"
    app "$name" <<<"{ \"stack\": \"scratch\", \"processes\": { \"web\": {
        \"command\": [\"./steady\"$words], \"memory\": \"16M\", $members } } }"
    paas push "$name" --path "$WORK/$name" >"$WORK/push" 2>&1 || die "push $name: $(cat "$WORK/push")"
}

# states APP: of its instances; are APP "STATES": true if they are so.
states() { paas ps "$1" -o json | jq -r '[.[].state] | sort | join(" ")'; }
are() { [ "$(states "$1")" = "$2" ]; }

# metric NAME APP: of the proxy.
metric() {
    curl -s --unix-socket "$DATA/run/proxy/proxy.sock" http://proxy/metrics | sed -n "s/^paas_proxy_$1{app=\"$2\",.*} //p"
}
under_way() { [ "$(metric requests_in_flight "$1")" = "$2" ]; }
wait_for_it() { [ "$(metric app_requests_held "$1")" = "$2" ]; }

# noted PART: its pid in the supervisor's notes; the scheduler may be away.
noted() { sed -n "s/^$1.pid=//p" "$DATA/run/supervisor"; }
# another PART PID: it runs, with another process.
another() {
    local now
    now=$(noted "$1") && [ -n "$now" ] && [ "$now" != 0 ] && [ "$now" != "$2" ]
}

# records APP: what the agent wrote of its instances that live, as lines of "ID PID STATE".
records() {
    cat "$DATA"/run/agent/instances/*/record 2>/dev/null | jq -r --arg app "$1" '.row |
        select(.app == $app and .state != "stopped" and .state != "failed") |
        "\(.id) \(.pid) \(.state)"' 2>/dev/null | sort
}
