# A machine that boots Debian 12's own kernel under qemu, with pure cgroup v2. Sourced, not run.
# SPDX-License-Identifier: Apache-2.0
#
# vm_begin, then put files below $root (vm_copy for programs), vm_disk, vm_modules, and vm_boot with
# the script that the machine runs as its first process once it has its root. Whoever sources this
# exits with 77, "skipped", where qemu or the kernel's package can't be had.
cache=${PAAS_TEST_CACHE:-/var/cache/paas-test}

vm_skip() {
    echo "skipped: $*"
    exit 77
}

# vm_fetch_kernel: unpacks Debian's cloud kernel below $cache/kernel.
vm_fetch_kernel() {
    [ -d "$cache/kernel/boot" ] && return
    local work package
    work=$(mktemp -d)
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
    [ -n "$package" ] && (cd "$work" && apt-get -q download "$package" >/dev/null 2>&1) ||
        vm_skip "linux-image-cloud-amd64 can't be downloaded"
    mkdir -p "$cache"
    dpkg-deb -x "$work"/*.deb "$work/kernel"
    rm -rf "$cache/kernel"
    mv "$work/kernel" "$cache/kernel"
    rm -rf "$work"
}

# vm_begin: an empty root with a shell, at $root.
vm_begin() {
    local tool applet
    for tool in qemu-system-x86_64 cpio mke2fs busybox bash dpkg-deb; do
        command -v $tool >/dev/null || vm_skip "no $tool"
    done
    [ "$(uname -m)" = x86_64 ] || vm_skip "another architecture"
    vm_fetch_kernel
    version=$(basename "$cache"/kernel/lib/modules/*)
    root=$(mktemp -d) image=$(mktemp)
    trap 'rm -rf "$root" "$image"' EXIT
    mkdir -p "$root"/{proc,sys,dev,run,tmp,new,test,etc/ssl,usr/{bin,sbin,lib,lib64},lib/modules}
    ln -s usr/bin "$root/bin"
    ln -s usr/bin "$root/sbin"
    ln -s usr/lib64 "$root/lib64"
    cp "$(command -v busybox)" "$root/usr/bin/busybox"
    for applet in sh stat head tail ls cat mount umount mkdir ln cp chown chmod rm mknod find grep sed \
        awk sort id touch tee seq mktemp sleep modprobe switch_root poweroff dirname basename wget ip ifconfig; do
        ln -s busybox "$root/usr/bin/$applet"
    done
    vm_copy "$(command -v bash)" usr/bin/bash
}

# vm_copy PROGRAM TARGET: with the libraries that it needs.
vm_copy() {
    mkdir -p "$root/$(dirname "$2")"
    cp "$1" "$root/$2"
    # A library's path is kept as it is found: the loader looks there.
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -n "$library" "$root$library"
    done
}

# vm_disk SIZE: a file system that maps ids, which tmpfs does not on this kernel; at /test/disk.
vm_disk() {
    truncate -s "$1" "$root/test/disk"
    mke2fs -q -t ext4 -O ^has_journal "$root/test/disk"
}

# vm_modules: what instances and their network need.
vm_modules() {
    (cd "$cache/kernel/lib/modules" && { find "$version/kernel/net" "$version/kernel/fs/overlayfs" \
        "$version"/kernel/fs/{ext4,jbd2,mbcache.ko} "$version/kernel/drivers/block/loop.ko" \
        "$version/kernel/drivers/net/veth.ko" "$version/kernel/lib" "$version/kernel/crypto" \
        "$version/kernel/arch" -name '*.ko' 2>/dev/null || true; } |
        cpio -pdm --quiet "$root/lib/modules")
    cp "$cache/kernel/lib/modules/$version"/modules.{builtin,order} "$root/lib/modules/$version/"
    busybox depmod -b "$root" "$version"
}

# vm_boot SECONDS APPEND: boots it, the first process being the shell script on standard input, run
# with /proc, /sys, /dev and /sys/fs/cgroup mounted; what it says goes to standard output.
vm_boot() {
    cat >"$root/start"
    cat >"$root/init" <<'INIT'
#!/bin/sh
# The first root can't be pivoted away from, so all moves to one that can.
mount -t tmpfs -o mode=755 none /new
cp -a /bin /sbin /lib /lib64 /usr /etc /test /start /new/
for name in var opt; do [ ! -e /$name ] || cp -a /$name /new/; done
mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run
chmod 1777 /new/tmp
cat >/new/first <<'FIRST'
#!/bin/sh
export PATH=/usr/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t cgroup2 -o nsdelegate none /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
modprobe -a loop ext4 2>/dev/null # where they are not built in
modprobe overlay && modprobe veth && modprobe nf_tables
exec /bin/sh /start
FIRST
chmod +x /new/first
exec switch_root /new /first
INIT
    chmod +x "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet) >"$image"
    timeout "$1" qemu-system-x86_64 -accel kvm -accel tcg -cpu max -m 1536 -smp 2 -nographic \
        -no-reboot -net none -kernel "$cache/kernel/boot/vmlinuz-$version" -initrd "$image" \
        -append "console=ttyS0 quiet cgroup_no_v1=all panic=-1 $2" </dev/null
}
