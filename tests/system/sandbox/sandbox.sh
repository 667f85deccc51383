#!/bin/bash
# Starts real sandboxes and checks what is inside, what they may use, and what they leave.
# SPDX-License-Identifier: Apache-2.0
#
#   sandbox.sh CASE SANDBOX_RUN PAAS_INIT PROBE GOVERN
set -u -o pipefail

case_name=$1 run=$2 init=$3 probe=$4 govern=$5
platform=29
base=$((0x40000000 + platform * 0x4100000))
store_root=$((base + 65537)) # id 0 of the images, as layers have it on disk
digest=$(printf 'a%.0s' {1..64})
above=$(printf 'b%.0s' {1..64})
work=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/store" "$work/instances"
failed=0

fail() {
    echo "FAIL: $*"
    failed=$((failed + 1))
}

# Fails unless `$1` matches the extended expression `$2`.
matches() {
    [[ $1 =~ $2 ]] || fail "'$1' is not like '$2'"
}

layer() { # DIGEST: makes the layer's directory
    mkdir -p "$work/store/$1"
    echo "$work/store/$1"
}

finish_layer() { # DIGEST: gives it the ids of the store
    chown -hR "$store_root:$store_root" "$work/store/$1"
}

sandbox() { # [OPTIONS] -- COMMAND
    "$run" --platform $platform --init "$init" --store "$work/store" --work "$work/instances" \
        --resolver 192.0.2.53 "$@" 2>&1
}

# What the kernel holds of the platform, one thing a line.
leftovers() {
    find /sys/fs/cgroup -type d -path "*paas$platform*" 2>/dev/null
    ls /sys/class/net | grep "^p${platform}i"
    grep -o "10\.$((200 + platform))\.[0-9.]*" /proc/net/fib_trie | sort -u
    grep "sandbox-test" /proc/mounts
    ls "$work/instances"
    grep -l "$work/instances" /proc/[0-9]*/cmdline 2>/dev/null
}

app=$(layer $digest)/app
mkdir "$app"
cp "$probe" "$app/probe"
finish_layer $digest

case_checks() {
    local stack
    # Nothing of the host's own names may be seen inside.
    for stack in image host; do
        sandbox --stack $stack --layer $digest -- /app/probe checks "$work" "paas$platform" \
            sandbox-test unified || fail "stack $stack: status $?"
    done
    # Cgroups are seen from the instance's own on.
    sandbox --stack host -- /bin/sh -c 'cat /proc/self/cgroup' >"$work/out"
    matches "$(grep '^0:' "$work/out")" '^0::/(\.\./)?app$'
    # Of the host's /etc there is nothing that matters, and root's files stay unreadable.
    matches "$(sandbox --stack host -- /bin/sh -c 'cat /etc/shadow; ls /etc/ssl/private')" \
        'No such file.*(Permission denied|No such file)'
    matches "$(sandbox --stack host -- /bin/sh -c 'touch /usr/x')" 'Read-only'
}

case_limits() {
    matches "$(sandbox --layer $digest --memory 16777216 -- /app/probe memory)" 'oom'
    matches "$(sandbox --layer $digest --pids 20 -- /app/probe forks)" 'forks 19 Resource'
    matches "$(sandbox --layer $digest --rootfs 8388608 -- /app/probe disk)" \
        '/disk 81[0-9]* KiB No space.*/tmp/disk 0 KiB.*/dev/shm/disk 0 KiB'
    matches "$(sandbox --layer $digest --rootfs 8388608 -- /app/probe inodes)" \
        'inodes 20[0-9]* No space'
    # Files in memory count as memory: filling the root is an end, not a way around the limit.
    matches "$(sandbox --layer $digest --memory 16777216 --rootfs 67108864 -- /app/probe disk)" \
        'oom'
    matches "$(sandbox --stack host --files 100 -- /bin/sh -c 'ulimit -n; ulimit -c')" '100.*0'
}

case_images() {
    local dir
    # An image full of links where the sandbox mounts and writes: none is followed.
    dir=$(layer $above)
    touch "$work/victim"
    ln -s / "$dir/proc"
    ln -s "$work" "$dir/tmp"
    ln -s ../../../../.. "$dir/dev"
    mkdir "$dir/etc"
    ln -s "$work/victim" "$dir/etc/resolv.conf"
    ln -s "/proc/1/root$work/victim" "$dir/etc/hosts"
    finish_layer $above
    sandbox --layer $digest --layer $above -- /app/probe checks || fail "links: status $?"
    [ -s "$work/victim" ] && fail "the host's file was written"
    # /etc itself is a link.
    rm -rf "${dir:?}/etc"
    ln -s "$work" "$dir/etc"
    sandbox --layer $digest --layer $above -- /app/probe checks || fail "/etc: status $?"
    [ -e "$work/hosts" ] && fail "a file was made on the host"
    # Files where directories are needed.
    rm -rf "${dir:?}"/*
    echo x | tee "$dir/proc" "$dir/dev" "$dir/tmp" "$dir/etc" >"$dir/sys"
    finish_layer $above
    sandbox --layer $digest --layer $above -- /app/probe checks || fail "files: status $?"
    # An upper layer hides what is below; an unknown one is named.
    rm -rf "${dir:?}"/*
    mknod "$dir/app" c 0 0
    matches "$(sandbox --layer $digest --layer $above -- /app/probe hello)" 'errno 2 /app/probe'
    matches "$(sandbox --layer "${above//b/c}" -- /x)" "can't open a layer.*cccc.*No such file"
    # Many layers.
    local i many=()
    for i in {1..127}; do
        many+=(--layer "$(printf '%064x' "$i")")
        dir=$(layer "$(printf '%064x' "$i")")
        echo "$i" >"$dir/top"
        chown "$store_root" "$dir" "$dir/top"
    done
    matches "$(sandbox --layer $digest "${many[@]}" -- /app/probe hello)" '^hello$'
}

case_census() {
    sandbox --layer $digest --cycles "${CYCLES:-200}" -- /app/probe hello || fail "the census grew"
    # A start that fails leaves nothing either.
    sandbox --layer "${above//b/c}" --cycles 1 -- /x >/dev/null && fail "a missing layer starts"
}

case_exec() {
    local out
    out=$(sandbox --stack host --exec 'id -u; cat /proc/self/status /proc/self/mounts; exit 3' -- \
        /bin/sh -c 'echo started; sleep 60')
    matches "$out" $'CapBnd:\t0000000000000000'
    matches "$out" $'Seccomp:\t2'
    matches "$out" ' / overlay '
    matches "$out" 'exec status 3'
}

wait_for() { # COMMAND: until it succeeds, at most 10 s
    for _ in {1..200}; do
        "$@" && return
        sleep 0.05
    done
    fail "never: $*"
}

an_instance() { # sets `id` to the one that exists
    id=$(ls "$work/instances")
    [ -n "$id" ] && [ "$(stat -c %s "$work/instances/$id/log.0" 2>/dev/null || echo 0)" -gt 32 ]
}

# What may happen to a call: where it is made in a start, and a little beyond. The process may be
# the maker's, the child's on its way, or paas-init's.
faults='fsopen:error=ENOSYS:when=1 fsconfig:error=EINVAL:when=1 fsconfig:error=ENOSPC:when=6
fsmount:error=ENOMEM:when=1 open_tree:error=ENOENT:when=1 mount_setattr:error=EINVAL:when=1
mount_setattr:error=EPERM:when=4 move_mount:error=ELOOP:when=1 move_mount:error=EINVAL:when=5
openat2:error=EXDEV:when=3 mkdirat:error=ENOSPC:when=3 mkdirat:error=EMFILE:when=150
pivot_root:error=EINVAL:when=1 umount2:error=EBUSY:when=1 setns:error=EINVAL:when=2
clone3:error=EAGAIN:when=1 clone3:error=EACCES:when=4 unshare:error=ENOSPC:when=1
sethostname:error=EPERM:when=1 dup2:error=EBADF:when=4 prctl:error=EPERM:when=45
capset:error=EPERM:when=1 setresuid:error=EAGAIN:when=1 setgroups:error=EPERM:when=1
setrlimit:error=EPERM:when=1 sendmsg:error=EPIPE:when=1 sendmsg:error=ENOBUFS:when=6
sendto:error=EPIPE:when=1 recvfrom:error=EIO:when=1 execveat:error=EACCES:when=1
bind:error=EADDRINUSE:when=1 listen:error=EIO:when=1 fchownat:error=EROFS:when=2
fchown:error=EIO:when=1 memfd_create:error=ENOMEM:when=2 eventfd2:error=EMFILE:when=1
write:error=ENOSPC:when=9 openat:error=EMFILE:when=60 openat:error=EMFILE:when=100
unlinkat:error=EBUSY:when=2 clone3:signal=KILL:when=3 mkdirat:signal=KILL:when=149
sendmsg:signal=KILL:when=5 move_mount:signal=KILL:when=4 pivot_root:signal=KILL:when=2
execveat:signal=KILL:when=1 listen:signal=KILL:when=1 unlinkat:signal=KILL:when=3'

# Whatever goes wrong, it ends in time, with words, and the next start finds a clean machine.
case_faults() {
    command -v strace >/dev/null || exit 77
    local fault status hit=0
    for fault in $faults; do
        # Leak checks can't work while traced.
        ASAN_OPTIONS=detect_leaks=0 timeout 60 strace -f -qq -o "$work/strace" \
            -e "trace=${fault%%:*}" -e "inject=$fault" "$run" --platform $platform --init "$init" \
            --store "$work/store" --work "$work/instances" --layer $digest -- /app/probe hello \
            >"$work/out" 2>&1
        status=$?
        [ $status != 124 ] || fail "$fault: it hangs"
        grep -q 'INJECTED\|SIGKILL' "$work/strace" && hit=$((hit + 1))
        if [[ $status != 0 && $fault == *error=* ]] && ! grep -q 'sandbox_run: ' "$work/out"; then
            fail "$fault: no words: $(<"$work/out")"
        fi
        rm -rf "${work:?}/instances"/*
        matches "$(sandbox --sweep --layer $digest -- /app/probe hello)" '^hello$'
    done
    echo "$hit of $(wc -w <<<"$faults") faults were met"
    ((hit * 10 >= $(wc -w <<<"$faults") * 8)) || fail "the faults miss their calls"
}

# Starts one that stays; sets `maker` and `id`.
start_one() {
    "$run" --platform $platform --init "$init" --store "$work/store" --work "$work/instances" \
        --layer $digest -- /app/probe stay >"$work/out" 2>&1 &
    maker=$!
    wait_for an_instance
}

case_govern() {
    local out
    start_one
    out=$("$govern" paas$platform "$id" $((base + 2)))
    echo "$out"
    matches "$out" $'^(swapped|there is no swap)\ngoverned$'
    wait
    matches "$(<"$work/out")" 'signaled code -1 signal 9.*staying'
}

rules_are_there() {
    nft list table inet paas$platform >/dev/null 2>&1
}

# Someone flushes all rules of the machine: the next start brings ours back.
case_firewall() {
    command -v nft >/dev/null || exit 77
    sandbox --layer $digest --bench 40 --gap-ms 50 -- /app/probe hello >"$work/out" &
    wait_for rules_are_there
    nft delete table inet paas$platform
    wait_for rules_are_there
    wait
    matches "$(<"$work/out")" 'start '
    rules_are_there && fail "the rules stay"
}

# Even the host's root gets no other device in an instance's cgroup.
case_devices() {
    local app out
    start_one
    app=$(find /sys/fs/cgroup -path "*/paas$platform/instances/$id/app" | head -1)
    out=$(
        echo $BASHPID >"$app/cgroup.procs"
        : </dev/null && : </dev/zero && head -c 1 /dev/urandom >/dev/null && echo "ours work"
        mknod "$work/disk" b 7 0 || echo "none is made"
        : </dev/mem || : </dev/kmsg || : </dev/net/tun || echo "none other"
    ) 2>/dev/null
    matches "$out" $'^ours work\nnone is made\nnone other$'
    kill -9 "$maker"
    wait 2>/dev/null
    rm -rf "${work:?}/instances"/*
    matches "$(sandbox --sweep --layer $digest -- /app/probe hello)" '^hello$'
}

case_crash() {
    # Its maker dies: the sandbox lives on, and the next maker finds and removes it.
    start_one
    local lost=$id
    kill -9 "$maker"
    wait
    [ -n "$(find /sys/fs/cgroup -path "*/paas$platform/instances/$lost/app")" ] ||
        fail "it died with its maker"
    matches "$(sandbox --sweep --layer $digest -- /app/probe hello)" '^hello$'
    rm -rf "${work:?}/instances/$lost"
}

"case_$case_name"
for _ in {1..50}; do
    left=$(leftovers)
    [ -z "$left" ] && break
    sleep 0.1
done
[ -z "$left" ] || fail "left behind: $left"
[ $failed = 0 ] && echo "all passed"
exit $((failed > 0))
