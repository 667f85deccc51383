#!/bin/bash
# Boots Debian 12's kernel and systemd with deploy/paas.service: it starts, an app is pushed, the
# supervisor is killed and systemd starts the next one, which takes over; stop leaves nothing, start
# brings back what was desired. SPDX-License-Identifier: Apache-2.0
#
#   service.sh BIN REPOSITORY
# Exits with 77, "skipped", where qemu, systemd or the kernel's package can't be had.
set -eu -o pipefail
bin=$1 repository=$2
boot_seconds=600 # software emulation is slow; this bounds a hang only
. "$repository/tests/support/vm.sh"
[ -x /usr/lib/systemd/systemd ] || vm_skip "no systemd"

vm_begin
for program in paas paas-scheduler paas-agent paas-proxy; do
    vm_copy "$bin/$program" "usr/local/bin/$program"
done
cp "$bin/paas-init" "$root/usr/local/bin/"
mkdir -p "$root/test/hello"
cp "$repository"/examples/hello/{hello,paas.json} "$root/test/hello/"

# systemd, and what its first targets ask for.
for program in /usr/lib/systemd/systemd{,-shutdown} /usr/bin/systemctl; do
    vm_copy "$program" "$program"
done
cp -a /usr/lib/systemd/libsystemd-*.so "$root/usr/lib/systemd/" 2>/dev/null || true
cp -an /usr/lib/x86_64-linux-gnu/systemd "$root/usr/lib/x86_64-linux-gnu/"
for library in "$root"/usr/lib/x86_64-linux-gnu/systemd/*.so; do
    ldd "$library" | grep -o '/[^ ]*' | while read -r needed; do
        mkdir -p "$root$(dirname "$needed")"
        cp -n "$needed" "$root$needed"
    done
done
mkdir -p "$root"/{etc/systemd/system,usr/lib/systemd/system,usr/local/bin,var/lib/paas,var/tmp}
cp -a /usr/lib/systemd/system/{basic,sysinit,local-fs,local-fs-pre,network,network-online,sockets,timers,paths,slices,shutdown,umount,final,multi-user,swap}.target \
    /usr/lib/systemd/system/-.slice "$root/usr/lib/systemd/system/" 2>/dev/null || true
cp "$repository/deploy/paas.service" "$root/etc/systemd/system/"
printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf 'nameserver 192.0.2.53\n' >"$root/etc/resolv.conf"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
echo vm >"$root/etc/hostname"
echo 'NAME=test' >"$root/etc/os-release"
ln -s /run "$root/var/run"
cat >"$root/etc/systemd/system/check.service" <<'END'
[Unit]
Description=the test
DefaultDependencies=no
[Service]
Type=oneshot
Environment=PATH=/usr/local/bin:/usr/bin
ExecStart=/bin/bash /test/check
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStopPost=/bin/poweroff -f
TimeoutStartSec=infinity
END
cat >"$root/test/check" <<'END'
failed=0
fail() { echo "FAILED: $*"; failed=1; }
within() { # SECONDS COMMAND…
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}
main() { systemctl show -p MainPID --value paas.service; }
active() { [ "$(systemctl is-active paas.service)" = active ]; }
answers() { wget -q -O - --header 'Host: hello.localhost' http://127.0.0.1:8080/ | grep -q 'hello from'; }
app_pid() { paas ps hello -o json | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
taken_over() { # OLD
    active && [ "$(main)" != "$1" ] && [ "$(main)" != 0 ] &&
        grep -q "^supervisor.pid=$(main)\$" /run/paas/supervisor
}

systemctl start paas.service || fail "start"
active || fail "it is not active: $(systemctl status paas.service)"
paas push hello --path /test/hello || fail "push"
within 20 answers || fail "no answer"

app=$(app_pid)
for kill in 1 2 3; do
    old=$(main)
    [ "$old" != 0 ] && kill -9 "$old"
    within 30 taken_over "$old" || fail "kill $kill: systemd does not bring it back:
$(systemctl status paas.service; tail -n 20 /var/lib/paas/log/supervisor.log)"
    answers || fail "kill $kill: no answer"
    [ "$(app_pid)" = "$app" ] || fail "kill $kill: another instance"
done
paas status || fail "status"

systemctl stop paas.service || fail "stop"
[ ! -e "/proc/$app" ] || fail "the app outlives stop"
find /sys/fs/cgroup -name 'paas[0-9]*' | grep . && fail "a cgroup is left"
grep -q 'paas\|p0i' /proc/net/dev && fail "a device is left"
systemctl start paas.service || fail "start again"
within 30 answers || fail "what was desired does not come back"
systemctl restart paas.service || fail "restart"
within 30 answers || fail "what was desired does not come back after a restart"
[ -e /var/lib/paas/log/scheduler.log ] || fail "no log"
echo "service status $failed"
END
vm_disk 64M
vm_modules

out=$(mktemp)
trap 'rm -rf "$root" "$image" "$out"' EXIT
vm_boot $boot_seconds "" <<'START' | tee "$out"
mount -t ext4 -o loop /test/disk /var/lib/paas
mount -t tmpfs -o mode=755 none /run
ip link set lo up 2>/dev/null || ifconfig lo up
# The first process is this one: systemd takes its place.
exec /usr/lib/systemd/systemd --system --unit=check.service --log-target=console --log-level=warning \
    --show-status=false
START
grep -q "^service status 0" "$out"
