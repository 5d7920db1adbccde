#!/bin/bash
# PID 1 of the test machine (tests/vm/run.py): mounts what a Debian without systemd has, cgroup v2 alone, then runs
# the suites of /tare/plan one after another. What they say goes to the second serial line, framed by lines that
# begin with `@@`; run.py counts. Switches the machine off, whatever happens.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TZ=UTC HOME=/root
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sys /sys
mount -t devtmpfs -o nosuid dev /dev 2>/dev/null
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo
trap 'echo "@@ off"; sync; sleep 0.2; echo o >/proc/sysrq-trigger; sleep 60' EXIT

mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
ip link set lo up
modprobe -a overlay loop ext4
ulimit -n 524288
echo 0 >/proc/sys/kernel/printk

# What systemd does for a unit with Delegate=yes: a cgroup of its own, marked, owned by the unit's user.
#   delegate PATH OWNER
delegate() {
  local at=/sys/fs/cgroup part
  for part in ${1//\// }; do
    echo '+memory +pids +cpu' >"$at/cgroup.subtree_control"
    at="$at/$part"
    mkdir -p "$at"
  done
  setfattr -n user.delegate -v 1 "$at"
  chown "$2:$2" "$at" "$at/cgroup.procs" "$at/cgroup.subtree_control" "$at/cgroup.threads"
}

# In the cgroup PATH, and as USER where one is named: `inside PATH USER COMMAND...`
inside() {
  local path="$1" user="$2"
  shift 2
  (
    echo 0 >"/sys/fs/cgroup/$path/cgroup.procs"
    [[ "$user" == root ]] || exec setpriv --reuid "$user" --regid "$user" --init-groups \
      env HOME="/home/$user" USER="$user" timeout -k 10 "$limit" "$@"
    exec timeout -k 10 "$limit" "$@"
  )
}

# suite NAME SECONDS COMMAND...
suite() {
  local name="$1" limit="$2" began=$SECONDS status=0
  shift 2
  echo "@@ begin $name"
  if [[ "$(type -t "$1")" == function ]]; then
    "$@" || status=$?
  else
    timeout -k 10 "$limit" "$@" || status=$?
  fi
  echo
  echo "@@ end $name $status $((SECONDS - began))"
}

echo "@@ up $(uname -r) $(tr '\n' ' ' </sys/fs/cgroup/cgroup.controllers)"
source /tare/plan
