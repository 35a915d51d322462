#!/bin/sh
# The package on a clean Debian, as a user would install it: a minimal root without the checkout, the packed tarball,
# sysusers.d, tmpfiles.d and the unit of contrib/, booted under systemd. Mail is sent to it, it is reloaded, stopped and
# started, and what it may do is looked at.
#
#   npm run test:packaging        (as root; needs debootstrap, systemd-nspawn and a mirror of Debian; some three minutes)
#
# It has no network but a loopback interface of its own. It prints what it proves, and ends with "N passed, 0 failed".
set -eu
cd "$(dirname "$0")/../.."
checkout=$PWD
work=$(mktemp -d /tmp/postern-clean-root.XXXXXX)
root=$work/root
passed=0

# the container's own init is what the first process of nspawn has started
leader() { pgrep -P "$nspawn" 2>/dev/null | head -n 1; }
cleanup() {
  code=$?
  if [ "$code" != 0 ] && [ -n "${nspawn:-}" ]; then
    inside 'journalctl -u postern --no-pager -n 40; systemctl status postern --no-pager' >&2 || true
  fi
  [ -z "${nspawn:-}" ] || kill "$nspawn" 2>/dev/null || true
  [ -z "${nspawn:-}" ] || wait "$nspawn" 2>/dev/null || true
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

inside() { nsenter -t "$(leader)" -m -u -i -n -p -- /bin/sh -c "$1"; }
# says what holds, or ends with what was found instead
proves() { # WHAT COMMAND
  if inside "$2" > "$work/out" 2>&1; then passed=$((passed + 1)); echo "ok: $1"; else
    echo "failed: $1" >&2; cat "$work/out" >&2; exit 1
  fi
}
awaits() { # WHAT COMMAND: holds within half a minute
  tries=0
  until inside "$2" > "$work/out" 2>&1; do
    tries=$((tries + 1)); [ "$tries" -lt 60 ] || { echo "failed: $1" >&2; cat "$work/out" >&2; exit 1; }
    sleep 0.5
  done
  passed=$((passed + 1)); echo "ok: $1"
}

echo "a minimal Debian"
sources=/etc/apt/sources.list.d/debian.sources
mirror=$(sed -n 's/^URIs: *//p' "$sources" 2>/dev/null | head -n 1)
[ -n "$mirror" ] || mirror=$(sed -n 's/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list | head -n 1)
release=$(. /etc/os-release; echo "$VERSION_CODENAME")
debootstrap --variant=minbase --include=systemd,systemd-sysv,libatomic1,curl,procps \
  "$release" "$root" "${mirror%/}" > "$work/debootstrap.log" 2>&1 || { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }

echo "the package, and Node with npm"
node=$(readlink -f node_modules/.bin/node)
"$node" scripts/build.ts "$work/package" > /dev/null
tarball=$work/package/$(cd "$work/package" && npm pack --silent --ignore-scripts)
install -m 755 "$node" "$root/usr/local/bin/node"
mkdir -p "$root/opt/postern"
# into the root from outside: npm itself is no part of what is tried
npm install --global --prefix "$root/opt/postern" --ignore-scripts --no-fund --no-audit "$tarball" > "$work/npm.log" 2>&1 \
  || { cat "$work/npm.log" >&2; exit 1; }

contrib=/opt/postern/lib/node_modules/postern/contrib
mount -t proc proc "$root/proc"
chroot "$root" /bin/sh -eu -c "
  install -Dm644 $contrib/sysusers.d/postern.conf /usr/lib/sysusers.d/postern.conf
  install -Dm644 $contrib/tmpfiles.d/postern.conf /usr/lib/tmpfiles.d/postern.conf
  install -Dm644 $contrib/postern.service /etc/systemd/system/postern.service
  install -Dm644 $contrib/man/postern.1 /usr/local/share/man/man1/postern.1
  systemd-sysusers && systemd-tmpfiles --create postern.conf
  /opt/postern/bin/postern pki /etc/postern/pki
  chgrp -R postern /etc/postern && chmod 750 /etc/postern/pki && chmod 640 /etc/postern/pki/*.key
" > "$work/install.log" 2>&1 || { cat "$work/install.log" >&2; exit 1; }
cat > "$root/etc/postern/postern.conf" <<'CONF'
Hostname = "gate.example"
Spoolbase = "/var/spool/postern/spool"
Spool_Min_Free = 1M
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" )
  TLS_Certificate = "/etc/postern/pki/server.pem"
  TLS_Key = "/etc/postern/pki/server.key"
  TLS_Client_CA = "/etc/postern/pki/ca.pem"
  Listen "127.0.0.1:25" { }
}
maildir "mailboxes" { basedir = "/var/mail/postern" domains = ( "gate.example" ) create_users = true }
ec_logger "main" { mainlog = "/var/log/postern/mainlog.ec" }
Control_Listener "console" { Listen "/run/postern/console" { } }
CONF
chroot "$root" /opt/postern/bin/postern check /etc/postern/postern.conf > "$work/check.log" 2>&1 || { cat "$work/check.log" >&2; exit 1; }
chroot "$root" systemctl enable postern.service > /dev/null 2>&1
umount "$root/proc"

echo "booted"
systemd-nspawn --directory="$root" --boot --register=no --keep-unit --private-network --quiet < /dev/null > "$work/boot.log" 2>&1 &
nspawn=$!
tries=0
until [ -n "$(leader)" ]; do tries=$((tries + 1)); [ "$tries" -lt 60 ] || { cat "$work/boot.log" >&2; exit 1; }; sleep 0.5; done
awaits "the unit is active, as systemd was told by the server" 'systemctl is-active postern'
proves "it runs as its user, with one capability" '
  pid=$(systemctl show -p MainPID --value postern)
  grep -q "^CapEff:.*0000000000000400$" /proc/$pid/status && test "$(stat -c %U /proc/$pid)" = postern'
send='printf "Subject: hello\r\n\r\nhello\r\n" | curl -sS --url smtp://127.0.0.1/partner.example --ssl-reqd --insecure --cert /etc/postern/pki/client-valid.pem --key /etc/postern/pki/client-valid.key --mail-from a@partner.example --mail-rcpt box@gate.example --upload-file -'
proves "mail with a client certificate is taken" "$send"
awaits "it lies in its mailbox, and Received names the certificate" 'grep -rqs "client-valid" /var/mail/postern/box/new'
awaits "mainlog is written" 'test -s /var/log/postern/mainlog.ec'
proves "the console answers" '/opt/postern/bin/postern console -c /etc/postern/postern.conf summary'
proves "a reload is told to systemd and leaves the unit active" 'systemctl reload postern && systemctl is-active postern'
proves "a configuration with an error leaves the running one in force" '
  cp /etc/postern/postern.conf /root/good && echo "TLS_Verify_Mod = require" >> /etc/postern/postern.conf
  systemctl reload postern; sleep 1; systemctl is-active postern'
proves "mail is taken as before" "$send"
inside 'cat /root/good > /etc/postern/postern.conf'
before=$(inside 'systemctl show -p MainPID --value postern')
inside "kill -9 $before"
awaits "a server that is killed is started again" "
  test \"\$(systemctl show -p MainPID --value postern)\" != $before && systemctl is-active postern"
proves "it stops without an error" 'systemctl stop postern && test "$(systemctl show -p Result --value postern)" = success'
proves "it starts again, and takes mail" "systemctl start postern && $send"
exposure=$(inside 'systemd-analyze security postern.service --no-pager' | sed -n 's/.*exposure level for postern.service: \([0-9.]*\).*/\1/p')
echo "systemd-analyze security: $exposure"
[ "$(printf '%s\n3.0\n' "$exposure" | sort -n | head -n 1)" = "$exposure" ] || { echo "more than 3.0" >&2; exit 1; }
cd "$checkout"
echo "$passed passed, 0 failed"
