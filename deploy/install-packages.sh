#!/bin/sh
# Installs the Debian packages named as arguments, as root, asking nothing; no service is started or enabled by it, no database
# cluster is made, and nothing stays behind but the packages. Called by ./figway (with sudo) and by the Dockerfile.
set -eu

policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/zz-figway.conf
mark='# figway: for the duration of one apt-get install'
log=$(mktemp)

leave_no_trace() {
    for file in "$policy" "$cluster"; do
        if grep -qsF "$mark" "$file"; then rm -f "$file"; fi
    done
    rmdir "${cluster%/*}" "${cluster%/*/*}" 2>/dev/null || :
    rm -f "$log"
}
trap leave_no_trace EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

autostarts() { # what systemd and init start at boot, one link a line
    for link in /etc/systemd/system/*.wants/* /etc/rc[2-5].d/S*; do
        if [ -L "$link" ]; then echo "$link"; fi
    done
}

apt() {
    apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=60 "$@" </dev/null >>"$log" 2>&1
}

# One at a time: the other's end would take away our policy. The lock is on a folder, so it leaves no file.
exec 8</usr/sbin
flock -w 900 8 || { echo "another figway has been installing packages for 15 minutes: start again later" >&2; exit 1; }

if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi
mkdir -p "${cluster%/*}"
printf '%s\ncreate_main_cluster = false\n' "$mark" >"$cluster"

before=$(autostarts)
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none
apt update || echo "warning: the package lists could not be refreshed; trying with those that are here" >&2
if ! apt install --yes --no-install-recommends --no-remove "$@"; then
    tail -n 25 "$log" >&2
    exit 1
fi

autostarts | while read -r link; do
    case "
$before
" in
        *"
$link
"*) continue ;; # was there before us
    esac
    name=${link##*/}
    case $link in
        /etc/systemd/*) deb-systemd-helper disable "$name" >/dev/null 2>&1 ;;
        *) update-rc.d "${name#S[0-9][0-9]}" disable >/dev/null 2>&1 ;;
    esac
done
