#!/bin/sh
# Installs the Debian packages named as arguments, as root, asking nothing; no service is started or enabled by it, no database
# cluster is made, and nothing stays behind but the packages. Called by ./figway (with sudo) and by the Dockerfile.
set -eu

policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/zz-figway.conf
mark='# figway: for the duration of one apt-get install'

autostarts() { # the links that make systemd or init start something at boot
    for link in /etc/systemd/system/*.target.wants/* /etc/systemd/system/*.target.requires/* /etc/rc[2-5].d/S*; do
        if [ -L "$link" ]; then echo "$link"; fi
    done
}

disable_new_services() {
    autostarts | while read -r link; do
        if printf '%s\n' "$before" | grep -qxF "$link"; then continue; fi
        case $link in
            /etc/systemd/*) rm -f "$link" ;; # which is what `systemctl disable` does, and works where systemd does not run
            *) name=${link##*/S[0-9][0-9]} && update-rc.d "$name" disable >>"$log" 2>&1 || : ;;
        esac
    done
}

leave_no_trace() { # also after Ctrl-C, when dpkg may have gone on to the end
    trap '' INT TERM HUP
    disable_new_services
    for file in "$policy" "$cluster"; do
        if grep -qsF "$mark" "$file"; then rm -f "$file"; fi
    done
    rmdir "${cluster%/*}" "${cluster%/*/*}" 2>/dev/null || :
    rm -f "$log"
}

apt() {
    apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=60 "$@" </dev/null >>"$log" 2>&1
}

# One at a time: the other's end would take away our policy. The lock is on a folder, so it leaves no file.
exec 8</usr/sbin
flock -w 900 8 || { echo "another figway has been installing packages for 15 minutes: start again later" >&2; exit 1; }

log=$(mktemp)
before=$(autostarts)
trap leave_no_trace EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi
mkdir -p "${cluster%/*}"
printf '%s\ncreate_main_cluster = false\n' "$mark" >"$cluster"

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none
apt update || echo "warning: the package lists could not be refreshed; trying with those that are here" >&2
if ! apt install --yes --no-install-recommends --no-remove "$@"; then
    tail -n 25 "$log" >&2
    exit 1
fi
