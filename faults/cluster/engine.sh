#!/usr/bin/env bash
# usage: engine.sh FOLDER NAME
# A Docker engine with its socket and its log in FOLDER, which it makes. It begins with a line on the standard input, and ends
# with that: whoever started it is gone by then, however that came about. It lives in namespaces of its own, for processes
# and for mounts, with its files in RAM, and all of that ends with them. What does not is called NAME, and is removed:
# control groups, and bridges whose networks were not.
{  # read as a whole: it may be edited while it runs
trap '' HUP INT TERM
folder=$1 name=$2
read -r _ && mkdir -m 700 "$folder" || exit
echo '{}' >"$folder/daemon.json"  # the machine's own configuration is not for this one

# Within: its first process ends, and with it every other, with either the engine or the standard input.
unshare --pid --fork --kill-child --mount-proc bash -c '
    for each in /run /opt /etc/docker; do  # where it and containerd write whatever they are told
        if [ -d "$each" ]; then mount -t tmpfs -o mode=755 tmpfs "$each" || exit; fi
    done
    mkdir /run/docker
    exec 3<&0
    dockerd --host="unix://$1/docker.sock" --config-file="$1/daemon.json" --group=root \
        --data-root=/run/docker-data --exec-root=/run/docker --pidfile=/run/docker.pid --storage-driver=vfs \
        --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        --exec-opt=native.cgroupdriver=cgroupfs --cgroup-parent="/$2" </dev/null 3<&- &
    cat <&3 >/dev/null &
    wait -n' engine "$folder" "$name" >"$folder/log" 2>&1

for bridge in "/sys/class/net/$name"*; do
    if [ -e "$bridge" ]; then ip link delete "${bridge##*/}"; fi
done
find /sys/fs/cgroup/ -depth -type d -path "*/$name*" -exec rmdir '{}' + 2>/dev/null
rm -rf "$folder"
exit
}
