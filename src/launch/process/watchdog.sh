# Ends a process group when its stdin ends: first with TERM, and after at most two seconds with KILL.
# Runs under dash, bash and ash. Signals to the group must not end it; the `echo` tells that from now on they
# do not. Only `sleep` is no built-in command: without it the group is killed at once. Nothing here may wait for
# another process without a limit. Each whole line of comment is left out when it runs.
trap '' HUP INT QUIT TERM PIPE USR1 USR2 TSTP TTIN TTOU
# A locked file: while it is open, no program starts the next server. Nothing is written into it.
exec 3>&2 2>/dev/null
echo
PATH=/bin:/usr/bin
# The number and the start of the service's process.
leader=; started=
while read -r pid start; do leader=$pid; started=$start; done

# A living process, from its line in /proc; its name may contain anything.
look() {
  read -r line <"/proc/$1/stat" || return 1
  set -- ${line##*) }
  state=$1; parent=$2; group=$3; start=${20}
  [ "$state" != Z ] && [ "$state" != X ]
}

# Whether `pid:start` lives, and is no later process with its number.
lives() {
  look "${1%%:*}" && [ "$start" = "${1##*:}" ]
}

# Finds the living members of the group (but this shell), the service's process, the control
# group and, if $tree, their descendants.
# $seen has all of them, also those of the scan before, $strays those outside of the group, as `pid:start`.
scan() {
  all=; pids=' '; found=; members=' '
  if [ "$cgroup" ]; then
    while read -r pid; do members="$members$pid "; done <"$cgroup/cgroup.procs"
  fi
  for file in /proc/[0-9]*; do
    pid=${file#/proc/}
    if [ "$pid" != $$ ] && look "$pid"; then
      one=$pid:$parent:$group:$start
      all="$all $one"
      case "$group:$pid:$start:$seen $members" in
        "$$:"* | *":$leader:$started:"* | *" $pid:$start "* | *" $pid "*) pids="$pids$pid "; found="$found $pid:$group:$start" ;;
      esac
    fi
  done
  more=$tree
  while [ "$more" ]; do
    more=
    for one in $all; do
      pid=${one%%:*}; rest=${one#*:}
      case $pids in
        *" $pid "*) ;;
        *" ${rest%%:*} "*) pids="$pids$pid "; found="$found $pid:${rest#*:}"; more=1 ;;
      esac
    done
  done
  seen=; strays=
  for one in $found; do
    pid=${one%%:*}; rest=${one#*:}
    seen="$seen $pid:${rest#*:}"
    [ "${rest%%:*}" = $$ ] || strays="$strays $pid:${rest#*:}"
  done
}

signal_strays() {
  for one in $strays; do
    if lives "$one"; then kill "$@" "${one%%:*}"; fi
  done
}

# Whether one of them lives. A look at all processes takes long, so the last ones that were seen come first.
anyone() {
  for one in $seen; do
    if lives "$one"; then return 0; fi
  done
  scan
  [ "$seen" ]
}

# Hundredths of a second. A busy machine needs much longer for a turn than its pause.
now() {
  if read -r time rest </proc/uptime; then time=${time%.*}${time#*.}; else time=0; fi
}

# The tree of parents is looked at before a signal ends the parents. A suspended process handles no TERM.
tree=$1; cgroup=$2; seen=; strays=
if look $$; then
  now; begun=$time
  scan
  kill -TERM 0; kill -CONT 0
  signal_strays -TERM; signal_strays -CONT
  turn=0; living=1
  while [ $turn -lt 20 ] && [ $((time - begun)) -lt 200 ]; do
    anyone || { living=; break; }
    sleep .1 || sleep 1 || break
    turn=$((turn + 1)); now
  done
  if [ "$living" ]; then
    scan
    for one in $seen; do
      if lives "$one"; then kill -KILL "${one%%:*}"; fi
    done
    # A process that is killed may take its time to give back its memory, and the next server starts after this shell.
    turn=0
    while [ $turn -lt 30 ] && anyone; do
      sleep .1 || break
      turn=$((turn + 1))
    done
  fi
else
  # No /proc: nothing tells when the group is empty.
  kill -TERM 0; kill -CONT 0
  sleep 2
fi
# What was started while the others ended. The folder can be removed when all of them have.
if [ "$cgroup" ] && [ -d "$cgroup" ]; then
  echo 1 >"$cgroup/cgroup.kill"
  for turn in 1 2 3 4 5; do rmdir "$cgroup" && break; sleep .1 || break; done
fi
# The shell's own group, without a number that another group could have by now.
kill -9 0
