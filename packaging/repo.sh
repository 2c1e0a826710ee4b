#!/usr/bin/env bash
# Makes a signed apt repository and a signed rpm repository, as plain folders for any web server, of built packages.
#
# Usage: packaging/repo.sh --out DIR --url URL [--key FILE] PACKAGE...
#   --out DIR   the repositories; packages of earlier runs stay in them
#   --url URL   where hosts will find DIR: http://..., or file:///... for a folder of theirs
#   --key FILE  the secret key that signs, armoured, without a passphrase; without it, one is made for tests and kept
#               in target/packaging/test-key.asc
#
# DIR then holds apt/ and rpm/, the public key rmq-node.asc, and the files that hosts need: rmq-node.sources for apt,
# rmq-node.repo for dnf. Needs apt-utils, createrepo-c, gnupg and rpm. The key lies nowhere else afterwards.
set -euo pipefail
top=$(dirname "$(dirname "$(readlink -f "$0")")")
packages=() out= url= key=
while (($#)); do
    case $1 in
    --out) out=$2; shift ;;
    --url) url=${2%/}; shift ;;
    --key) key=$2; shift ;;
    *.deb | *.rpm) packages+=("$(readlink -e "$1")") ;;
    *) out=; break ;;
    esac
    shift
done
[[ -n $out && -n $url && ${#packages[@]} -gt 0 ]] || { sed -n '4,8s/^# \?//p' "$0" >&2; exit 2; }

GNUPGHOME=$(mktemp -d)
# rpmsign would look for a terminal.
export GNUPGHOME GPG_TTY=none
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
sign() { gpg --trust-model always --batch --yes --quiet --local-user "$fingerprint" --digest-algo SHA512 "$@"; }

# take_key: the key into a keyring of this run. RSA, since the rpm of RHEL 8 knows nothing newer.
take_key() {
    local test_key=$top/target/packaging/test-key.asc
    if [[ -z $key && ! -e $test_key ]]; then
        mkdir -p "$(dirname "$test_key")"
        gpg --batch --quiet --passphrase '' --quick-gen-key 'rmq-node test repository' rsa3072 sign never
        (umask 077 && gpg --batch --export-secret-keys --armor >"$test_key")
    fi
    gpg --batch --quiet --trust-model always --import "${key:-$test_key}"
    fingerprint=$(gpg --list-secret-keys --with-colons | sed -n '/^fpr/{s/^fpr:*\([0-9A-F]*\):.*/\1/p;q}')
    gpg --export --armor "$fingerprint" >"$out/rmq-node.asc"
}

apt_repository() {
    mkdir -p "$out/apt/pool" "$out/apt/dists/stable/main/binary-amd64"
    local package
    for package in "${packages[@]}"; do
        [[ $package != *.deb ]] || install -m 644 -t "$out/apt/pool" "$package"
    done
    (
        cd "$out/apt"
        apt-ftparchive packages pool >dists/stable/main/binary-amd64/Packages
        gzip -9nkf dists/stable/main/binary-amd64/Packages
        apt-ftparchive -o APT::FTPArchive::Release::Origin=rmq-node -o APT::FTPArchive::Release::Label=rmq-node \
            -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Codename=stable \
            -o APT::FTPArchive::Release::Components=main -o APT::FTPArchive::Release::Architectures=amd64 \
            release dists/stable >Release.new
        mv Release.new dists/stable/Release
        sign --clearsign --output dists/stable/InRelease dists/stable/Release
        sign --armor --detach-sign --output dists/stable/Release.gpg dists/stable/Release
    )
    cat >"$out/rmq-node.sources" <<END
Types: deb
URIs: $url/apt
Suites: stable
Components: main
Signed-By: /etc/apt/keyrings/rmq-node.asc
END
}

rpm_repository() {
    mkdir -p "$out/rpm"
    local package
    for package in "${packages[@]}"; do
        [[ $package == *.rpm ]] || continue
        install -m 644 -t "$out/rpm" "$package"
        rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $fingerprint" \
            --define '_gpg_digest_algo sha256' --addsign "$out/rpm/${package##*/}" >/dev/null
    done
    createrepo_c --quiet --update "$out/rpm"
    sign --armor --detach-sign --output "$out/rpm/repodata/repomd.xml.asc" "$out/rpm/repodata/repomd.xml"
    cat >"$out/rmq-node.repo" <<END
[rmq-node]
name=rmq-node
baseurl=$url/rpm
gpgkey=$url/rmq-node.asc
gpgcheck=1
repo_gpgcheck=1
enabled=1
END
}

mkdir -p "$out"
out=$(readlink -f "$out")
take_key
apt_repository
rpm_repository
echo "made in $out for $url, signed by $fingerprint"
