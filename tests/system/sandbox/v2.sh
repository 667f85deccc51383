#!/bin/bash
# Runs sandbox.sh on Debian 12's own kernel, which boots pure cgroup v2, under qemu.
# SPDX-License-Identifier: Apache-2.0
#
#   v2.sh SANDBOX_RUN PAAS_INIT PROBE GOVERN [CASE]…
# Exits with 77, "skipped", where qemu or the kernel's package can't be had.
set -eu -o pipefail

run=$1 init=$2 probe=$3 govern=$4
shift 4
cases=${*:-checks limits images census exec govern devices crash}
here=$(cd "$(dirname "$0")" && pwd)
boot_seconds=600 # software emulation is slow; this bounds a hang only
. "$here/../../support/vm.sh"

vm_begin
vm_copy "$run" test/sandbox_run
vm_copy "$govern" test/govern
cp "$init" "$root/test/paas-init"
cp "$probe" "$root/test/probe"
cp "$here/sandbox.sh" "$root/test/"
vm_disk 32M
vm_modules

out=$(mktemp)
trap 'rm -rf "$root" "$image" "$out"' EXIT
vm_boot $boot_seconds "paas_cases=$(echo $cases | tr ' ' ,)" <<'START' | tee "$out"
mkdir /data && mount -t ext4 -o loop /test/disk /data
export TMPDIR=/data
# A file in memory is swap enough to see memory go there.
busybox truncate -s 64M /swap && busybox losetup /dev/loop7 /swap &&
    busybox mkswap /dev/loop7 >/dev/null && busybox swapon /dev/loop7
for case in $(sed 's/.*paas_cases=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline); do
    echo "case $case"
    CYCLES=20 bash /test/sandbox.sh $case /test/sandbox_run /test/paas-init /test/probe \
        /test/govern
    echo "case $case status $?"
done
poweroff -f
START
[[ $cases != *govern* ]] || grep -q '^swapped' "$out" || exit 1
for name in $cases; do
    grep -q "^case $name status 0" "$out" || exit 1
done
