# What Debian packages are needed, and installing those that are missing. Sourced by quickstart and
# test. SPDX-License-Identifier: Apache-2.0

# Debian 13 has llhttp as a library; Debian 12 ships its sources with node-llhttp. A machine that
# never asked for Debian's lists knows of neither.
llhttp_package() {
    apt-cache show node-llhttp >/dev/null 2>&1 || apt-get update >/dev/null 2>&1
    if apt-cache show libllhttp-dev >/dev/null 2>&1; then echo libllhttp-dev; else echo node-llhttp; fi
}

build_packages() {
    echo build-essential cmake pkg-config libuv1-dev libcurl4-openssl-dev libjansson-dev \
        libseccomp-dev libcap-dev libarchive-dev libsqlite3-dev libssl-dev musl-tools curl \
        ca-certificates "$(llhttp_package)"
}

test_packages() {
    echo libcmocka-dev clang nftables iproute2 skopeo umoci buildah qemu-system-x86 cpio busybox-static \
        e2fsprogs jq strace nodejs \
        procps util-linux mount file systemd python3
}

# Prints those of the named packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            echo "$package"
    done
}

# Installs the named packages from Debian; what apt says goes to the file $1.
install_packages() {
    local log=$1
    shift
    export DEBIAN_FRONTEND=noninteractive
    apt-get update >"$log" 2>&1
    apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1
}
