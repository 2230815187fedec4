# Sourced by fetch-deps and build-deps: fetching pinned sources into the cache.
# shellcheck shell=bash disable=SC2034
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1767225600

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock=$here/deps.lock
cache=${MH_CACHE:-$HOME/.cache/moonherd}
dl=$cache/dl

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Prints the columns after the name of every pin of that kind and name, best first.
pins() { # kind name
    awk -v k="$1" -v n="$2" '$1 == k && $2 == n { $1 = $2 = ""; print substr($0, 3) }' "$lock"
}

# One process at a time fills the cache; the lock goes with the caller.
cache_lock() {
    mkdir -p "$dl"
    exec 9> "$cache/lock"
    flock 9
}

# Where this machine's Debian archive is (no host is written down here).
archive_uri() { # label
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Label: $1" | head -n1
}

# An apt of our own, so that the machine's sources stay as they are. It asks
# the archive that this machine already uses for other suites of it.
apt_setup() {
    local a=$dl/apt uri sec s main ring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -z "$(find "$a/ok" -mmin -720 2> /dev/null)" ] || return 0
    uri=$(archive_uri Debian)
    [ -n "$uri" ] || { apt-get -q update >&2; uri=$(archive_uri Debian); }
    [ -n "$uri" ] || die "no Debian archive is configured here
HINT: look at /etc/apt/sources.list and run 'apt-get update'"
    [ -e "$ring" ] || die "no keys at $ring
HINT: apt-get install debian-archive-keyring"
    sec=$(archive_uri Debian-Security)
    mkdir -p "$a/etc/apt.conf.d" "$a/etc/preferences.d" "$a/etc/sources.list.d" \
             "$a/lists/partial" "$a/cache/archives/partial"
    : > "$a/status"
    main=
    for s in $(awk '$1 == "suite" { print $2 }' "$lock"); do
        printf 'deb-src [signed-by=%s] %s %s main\n' "$ring" "$uri" "$s"
        if [ -z "$main" ]; then
            main=$s
            [ -z "$sec" ] || printf 'deb-src [signed-by=%s] %s %s-security main\n' "$ring" "$sec" "$s"
        fi
    done > "$a/etc/sources.list"
    cat > "$a/apt.conf" <<C
Dir::Etc "$a/etc"; Dir::State "$a"; Dir::State::Lists "$a/lists";
Dir::State::status "$a/status"; Dir::Cache "$a/cache"; APT::Sandbox::User "root";
Acquire::Retries "3";
// A mirror that lags is no danger: every source is pinned by its SHA-256.
Acquire::Check-Valid-Until "false";
C
    APT_CONFIG=$a/apt.conf apt-get -q update >&2
    touch "$a/ok"
}

apt_source() { # options and package, run in the download directory
    (cd "$dl" && APT_CONFIG=$dl/apt/apt.conf apt-get -qq source --download-only "$@" >&2)
}

same_sum() { # sum file
    [ -e "$2" ] && [ "$(sha256sum < "$2" | cut -d' ' -f1)" = "$1" ]
}

# The .dsc of a `deb` pin in the cache, every file of it checked; prints its name.
fetch_dsc() { # name
    local v s dsc first=yes
    while read -r v s; do
        dsc=$1_${v#*:}.dsc
        if [ ! -e "$dl/$dsc.ok" ]; then
            apt_setup
            if ! apt_source "$1=$v" || ! same_sum "$s" "$dl/$dsc"; then
                say "$1 $v is gone from the archive, or not what was pinned: bump it in deploy/deps.lock"
                first=no
                continue
            fi
            (cd "$dl" && sed -n '/^Checksums-Sha256:/,/^[^ ]/s/^ \([0-9a-f]\{64\}\) [0-9]* \(.*\)/\1  \2/p' "$dsc" |
                sha256sum -c --quiet - >&2) || die "$1 $v: a file is not what the .dsc says"
            touch "$dl/$dsc.ok"
        fi
        [ "$first" = yes ] || say "$1: using the fallback $v"
        echo "$dsc"
        return 0
    done < <(pins deb "$1")
    die "$1: no pinned version could be fetched"
}

# The upstream tarball of a `tar` pin; prints its path.
fetch_tar() { # name
    local v s d f
    read -r v s d < <(pins tar "$1")
    for f in "$dl/$1_$v".orig.tar.*; do
        ! same_sum "$s" "$f" || { echo "$f"; return 0; }
    done
    apt_setup
    apt_source --tar-only "$1=$v-1" || apt_source --tar-only "$1" || return 1
    for f in "$dl/$1_$v".orig.tar.*; do
        ! same_sum "$s" "$f" || { echo "$f"; return 0; }
    done
    say "$1 $v: not in the archive as pinned"
    return 1
}

# The directory of a `crate` pin, checked by cargo and by us; prints its path.
fetch_crate() { # name
    local v s d c=$dl/crate-$1
    read -r v s d < <(pins crate "$1")
    [ -n "$v" ] && command -v cargo > /dev/null || return 1
    if [ ! -e "$c/vendor/$1/$d" ]; then
        rm -rf "$c"; mkdir -p "$c/src"; : > "$c/src/lib.rs"
        printf '[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n%s = "=%s"\n' \
            "$1" "$v" > "$c/Cargo.toml"
        (cd "$c" && cargo vendor -q > /dev/null) || return 1
    fi
    grep -q "\"package\":\"$s\"" "$c/vendor/$1/.cargo-checksum.json" || die "crate $1: wrong checksum"
    echo "$c/vendor/$1/$d"
}
