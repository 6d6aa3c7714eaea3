#!/usr/bin/env bash
# A SLURM cluster of one node, this machine, without accounting and with two pretended GPUs; for tests, never for work.
#
#   cluster.sh start FOLDER    FOLDER (absolute, new) takes state, logs and pid files
#   cluster.sh stop FOLDER     ends what start started, by its pid files, and removes the configuration again
#
# Needs root and Debian's packages `slurm-wlm` and `munge` (seen with 22.05). The configuration must lie at /etc/slurm:
# SLURM_CONF in the environment does not reach the jobs. An existing one is never touched: start then refuses.
set -euo pipefail

CONFIGURATION=/etc/slurm
MARK="# made by tests/workflow/slurm/cluster.sh"

fail() {
    echo "cluster.sh: $1" >&2
    exit 1
}

ours() {
    grep --quiet --line-regexp --fixed-strings "$MARK" "$1" 2>/dev/null
}

check() {
    [ "$(id -u)" = 0 ] || fail "user $(id -un): root is needed for slurmd and munged; run it in a container or a VM"
    for program in munged slurmctld slurmd squeue; do
        command -v "$program" >/dev/null || fail "$program: not found; apt-get install slurm-wlm munge"
    done
    for file in slurm.conf gres.conf; do
        [ ! -e "$CONFIGURATION/$file" ] || fail "$CONFIGURATION/$file exists: this machine has a SLURM, or stop was not run"
    done
    case "$folder" in /*) ;; *) fail "$folder: an absolute path is needed" ;; esac
    [ ! -e "$folder" ] || fail "$folder exists; name a new folder"
}

configure() {
    local host
    host=$(hostname -s)
    mkdir -p "$CONFIGURATION" "$folder"/{state,spool}
    # SLURM wants two different devices; nothing ever opens them.
    ln -s /dev/null "$folder/gpu0"
    ln -s /dev/zero "$folder/gpu1"
    printf '%s\n' "$MARK" "NodeName=$host Name=gpu Flags=nvidia_gpu_env File=$folder/gpu[0-1]" >"$CONFIGURATION/gres.conf"
    cat >"$CONFIGURATION/slurm.conf" <<END
$MARK
ClusterName=salstm
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
}

start() {
    check
    configure
    trap 'stop; fail "the cluster did not start; see $folder"' ERR
    (umask 077 && head --bytes=1024 /dev/urandom >"$folder/munge.key")
    # Every user's jobs reach the socket through the folder.
    chmod 711 "$folder"
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
        --pid-file="$folder/munge.pid" --log-file="$folder/munge.log" --seed-file="$folder/munge.seed"
    slurmctld
    slurmd
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ] && return
        sleep 0.5
    done
    false
}

stop() {
    local name pid
    trap - ERR
    # No more than that: on a machine with a SLURM of its own this would reach it.
    if ours "$CONFIGURATION/slurm.conf"; then
        scancel --user="$(id -un)" 2>/dev/null || true
    fi
    for name in slurmd slurmctld munge; do
        pid=$(cat "$folder/$name.pid" 2>/dev/null || true)
        [ -n "$pid" ] || continue
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 300); do
            kill -0 "$pid" 2>/dev/null || continue 2
            sleep 0.1
        done
        # slurmd waits for jobs that it cannot end.
        kill -KILL "$pid" 2>/dev/null || true
    done
    for name in slurm.conf gres.conf; do
        if ours "$CONFIGURATION/$name"; then
            rm "$CONFIGURATION/$name"
        fi
    done
}

[ $# = 2 ] || fail "usage: cluster.sh start|stop FOLDER"
folder=$2
case "$1" in
    start | stop) "$1" ;;
    *) fail "$1: start and stop are allowed" ;;
esac
