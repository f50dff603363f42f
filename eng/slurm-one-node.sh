#!/usr/bin/env bash
# A Slurm cluster of one node, this machine, in a folder of its own: for tests and for a look at gatoms submit slurm.
# Needs root and Debian's slurm-wlm and munge. Nothing outside of the folder is changed; a cluster that is there is left alone.
#
#   eng/slurm-one-node.sh start FOLDER   starts munged, slurmctld and slurmd, and waits until the node is idle
#   eng/slurm-one-node.sh stop FOLDER    stops them
#
# Clients find it with SLURM_CONF=FOLDER/slurm.conf.
set -euo pipefail

usage="usage: $0 start|stop FOLDER"
action=${1:?$usage}
folder=$(realpath -m "${2:?$usage}")

stop_one() {
  [ -f "$folder/$1.pid" ] || return 0
  local pid
  pid=$(cat "$folder/$1.pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$folder/$1.pid"
}

free_port() {
  local port
  for port in $(shuf -i 20000-30000 -n 200); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
  echo "no free port" >&2; exit 1
}

case "$action" in
  start)
    for program in munged mungekey slurmctld slurmd sinfo; do
      command -v "$program" >/dev/null || PATH=$PATH:/usr/sbin command -v "$program" >/dev/null \
        || { echo "$program is not installed: apt-get install slurm-wlm munge" >&2; exit 1; }
    done
    [ "$(id -u)" = 0 ] || { echo "slurmd wants root" >&2; exit 1; }
    PATH=$PATH:/usr/sbin
    mkdir -p "$folder/state" "$folder/spool"
    chmod 755 "$folder"
    [ -f "$folder/munge.key" ] || mungekey --create --keyfile="$folder/munge.key"
    chmod 600 "$folder/munge.key"
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
      --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
    host=$(hostname -s)
    cat > "$folder/slurm.conf" <<CONF
ClusterName=onenode
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
KillWait=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF="$folder/slurm.conf"
    printf 'CgroupPlugin=autodetect\nIgnoreSystemd=yes\n' > "$folder/cgroup.conf"
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    for _ in $(seq 100); do
      [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && { echo "$SLURM_CONF"; exit 0; }
      sleep 0.3
    done
    echo "the node did not become idle; see $folder/*.log" >&2
    sinfo >&2 || true
    exit 1
    ;;
  stop)
    stop_one slurmd
    stop_one slurmctld
    stop_one munged
    ;;
  *)
    echo "$usage" >&2
    exit 2
    ;;
esac
