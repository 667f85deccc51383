# A host among its neighbours, and who may reach whom: for scripts that are sourcing this.
# SPDX-License-Identifier: Apache-2.0
#
# A script begins with `enter_lab "$@"`: it goes on in a network namespace of its own, "the host",
# whose only neighbours are namespaces made by `neighbourhood`. No packet leaves the machine, and
# all is gone when the script ends.
#
#                     192.168.77.0/24           +-- meta 169.254.169.254
#   instances -- host .2 ---------- .1 gateway -+-- dns  10.99.0.53
#                 |  203.0.113.2 (public)       +-- lan  192.168.78.3
#                 +-- 172.20.0.1 -- side .2     +-- pub  198.51.100.10

enter_lab() {
    if [ "${LAB_INSIDE:-}" != yes ]; then
        [ "$(id -u)" = 0 ] || { echo "lab: needs root"; exit 77; }
        LAB_INSIDE=yes exec unshare --mount --net --propagation private "$0" "$@"
    fi
    scratch=$(mktemp -d)
    chmod 755 "$scratch"
    mkdir -p /run/netns
    mount -t tmpfs lab /run/netns # names of namespaces that nobody else sees
    trap end EXIT
}

end() {
    kill $(jobs -p) 2>/dev/null || true
    rm -rf "$scratch"
}
fail() { # also from a background job
    echo "FAIL: $*" | tee -a "$scratch/failures"
}

die() {
    echo "lab: $*"
    exit 1
}

# until_true SECONDS COMMAND...: waits for it with a deadline.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.02
    done
}

# --- the neighbourhood ------------------------------------------------------------------------

leaf() { # NAME ADDRESS: a namespace behind the gateway
    ip netns add "$1"
    ip -n gateway link add "$1" type veth peer name eth0 netns "$1"
    ip -n gateway link set "$1" up
    ip -n gateway route add "$2/32" dev "$1"
    ip -n "$1" link set lo up
    ip -n "$1" link set eth0 up
    ip -n "$1" addr add "$2/32" dev eth0
    ip -n "$1" route add 192.168.77.1 dev eth0
    ip -n "$1" route add default via 192.168.77.1 dev eth0
}

neighbourhood() {
    ip link set lo up
    ip netns add gateway
    ip link add up0 type veth peer name gw0 netns gateway
    ip link set up0 up
    ip addr add 192.168.77.2/24 dev up0
    ip addr add 203.0.113.2/32 dev up0
    ip route add default via 192.168.77.1
    ip -n gateway link set lo up
    ip -n gateway link set gw0 up
    ip -n gateway addr add 192.168.77.1/24 dev gw0
    ip netns exec gateway sysctl -qw net.ipv4.ip_forward=1
    # The gateway knows the way to everything, so that only the host's rules are in the way.
    local network
    for network in 10.192.0.0/10 203.0.113.2/32 172.20.0.0/24; do
        ip -n gateway route add $network via 192.168.77.2
    done
    leaf meta 169.254.169.254
    leaf dns 10.99.0.53
    leaf lan 192.168.78.3
    leaf pub 198.51.100.10
    ip netns add side
    ip link add side0 type veth peer name eth0 netns side
    ip link set side0 up
    ip addr add 172.20.0.1/24 dev side0
    ip -n side link set lo up
    ip -n side link set eth0 up
    ip -n side addr add 172.20.0.2/24 dev eth0
    ip -n side route add default via 172.20.0.1
    sysctl -qw net.ipv4.conf.side0.forwarding=1 # a bystander that the host does route for
    nft 'table inet bystander { chain c { type filter hook forward priority 5; counter; }; }'
}

declare -A servers
serve() { # NAME COMMAND-PREFIX... -- ADDRESS:PORT...
    local log=$scratch/$1 prefix=()
    shift
    while [ "$1" != -- ]; do
        prefix+=("$1")
        shift
    done
    shift
    "${prefix[@]}" "$hostile" serve "$@" >"$log" 2>&1 &
    servers[$(basename "$log")]=$!
    until_true 30 grep -q ready "$log" || die "no server: $(cat "$log")"
}

census() {
    ip -o link | sed 's/^[0-9]*: //; s/ qlen.*//'
    ip -o -4 addr
    ip -4 route show table all | sort
    nft list tables
    grep . /proc/sys/net/ipv4/conf/{up0,side0,lo}/forwarding
}

# --- the tries --------------------------------------------------------------------------------

# expect WHO COMMAND-PREFIX... with lines "TARGET VERDICT" on standard input. In the background, as
# silence takes its time; `tried` waits for all.
expect() {
    local lines
    lines=$(cat)
    expect_now "$lines" "$@" &
    tries+=($!)
}

expect_now() {
    local lines=$1 who=$2 targets seen
    shift 2
    targets=$(cut -d' ' -f1 <<<"$lines")
    seen=$("$@" "$hostile" try $targets) || fail "$who: cannot try"
    [ "$seen" = "$lines" ] ||
        fail "$who (< expected, > seen)"$'\n'"$(diff <(echo "$lines") <(echo "$seen"))"
}

tries=()
tried() {
    wait "${tries[@]}"
    tries=()
}

# judge: the end of a script.
judge() {
    [ ! -e "$scratch/failures" ] || exit 1
    echo "ok: ${0##*/}"
}
