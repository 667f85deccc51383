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
cache=${PAAS_TEST_CACHE:-/var/cache/paas-test}
boot_seconds=600 # software emulation is slow; this bounds a hang only

skip() {
    echo "skipped: $*"
    exit 77
}

for tool in qemu-system-x86_64 cpio mke2fs busybox bash dpkg-deb; do
    command -v $tool >/dev/null || skip "no $tool"
done
[ "$(uname -m)" = x86_64 ] || skip "another architecture"

fetch_kernel() { # unpacks Debian's cloud kernel below $cache/kernel
    [ -d "$cache/kernel/boot" ] && return
    local work package
    work=$(mktemp -d)
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
    [ -n "$package" ] && (cd "$work" && apt-get -q download "$package" >/dev/null 2>&1) ||
        skip "linux-image-cloud-amd64 can't be downloaded"
    mkdir -p "$cache"
    dpkg-deb -x "$work"/*.deb "$work/kernel"
    rm -rf "$cache/kernel"
    mv "$work/kernel" "$cache/kernel"
    rm -rf "$work"
}

copy_program() { # PROGRAM TARGET: with the libraries that it needs
    cp "$1" "$root/$2"
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -n "$library" "$root$library"
    done
}

fetch_kernel
version=$(basename "$cache"/kernel/lib/modules/*)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root"/{bin,proc,sys,dev,tmp,new,test,etc/ssl,usr/{bin,sbin,lib,lib64},lib/modules}
ln -s usr/bin "$root/sbin"
rm -rf "$root/bin" && ln -s usr/bin "$root/bin"
ln -s usr/lib64 "$root/lib64"
cp "$(command -v busybox)" "$root/usr/bin/busybox"
for applet in sh stat head ls cat mount mkdir ln cp chown chmod rm mknod find grep sort id touch tee seq mktemp \
    sleep modprobe switch_root poweroff dirname basename; do
    ln -s busybox "$root/usr/bin/$applet"
done
copy_program "$(command -v bash)" usr/bin/bash
copy_program "$run" test/sandbox_run
copy_program "$govern" test/govern
cp "$init" "$root/test/paas-init"
cp "$probe" "$root/test/probe"
cp "$here/sandbox.sh" "$root/test/"
truncate -s 32M "$root/test/disk"
mke2fs -q -t ext4 -O ^has_journal "$root/test/disk"
(cd "$cache/kernel/lib/modules" && { find "$version/kernel/net" "$version/kernel/fs/overlayfs" \
    "$version"/kernel/fs/{ext4,jbd2,mbcache.ko} "$version/kernel/drivers/block/loop.ko" \
    "$version/kernel/drivers/net/veth.ko" "$version/kernel/lib" "$version/kernel/crypto" \
    "$version/kernel/arch" -name '*.ko' 2>/dev/null || true; } | cpio -pdm --quiet "$root/lib/modules")
cp "$cache/kernel/lib/modules/$version"/modules.{builtin,order} "$root/lib/modules/$version/"
busybox depmod -b "$root" "$version"

cat >"$root/init" <<'INIT'
#!/bin/sh
# The first root can't be pivoted away from, so all moves to one that can.
mount -t tmpfs none /new
cp -a /bin /sbin /lib /lib64 /usr /etc /test /new/
mkdir /new/proc /new/sys /new/dev /new/tmp
cat >/new/start <<'START'
#!/bin/sh
export PATH=/usr/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t cgroup2 -o nsdelegate none /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
chmod 1777 /tmp
# Layers need a file system that maps ids; on this kernel tmpfs does not.
modprobe -a loop ext4 2>/dev/null # where they are not built in
mkdir /data && mount -t ext4 -o loop /test/disk /data
export TMPDIR=/data
modprobe overlay && modprobe veth && modprobe nf_tables
for case in $(sed 's/.*paas_cases=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline); do
    echo "case $case"
    CYCLES=20 bash /test/sandbox.sh $case /test/sandbox_run /test/paas-init /test/probe \
        /test/govern
    echo "case $case status $?"
done
poweroff -f
START
chmod +x /new/start
exec switch_root /new /start
INIT
chmod +x "$root/init"
ln -s busybox "$root/usr/bin/sed"

image=$(mktemp)
out=$(mktemp)
trap 'rm -rf "$root" "$image" "$out"' EXIT
(cd "$root" && find . | cpio -o -H newc --quiet) >"$image"
# shellcheck disable=SC2086
timeout $boot_seconds qemu-system-x86_64 -accel kvm -accel tcg -cpu max -m 1024 -smp 2 -nographic \
    -no-reboot -net none -kernel "$cache/kernel/boot/vmlinuz-$version" -initrd "$image" \
    -append "console=ttyS0 quiet cgroup_no_v1=all panic=-1 paas_cases=$(echo $cases | tr ' ' ,)" \
    </dev/null | tee "$out"
for name in $cases; do
    grep -q "^case $name status 0" "$out" || exit 1
done
