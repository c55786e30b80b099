# Ends a container when its stdin ends: asks it to, and removes it at the latest after two seconds and what the engine
# needs. The last line of its stdin is the id of the container: that of another container of the same name is another.
# Signals to the program must not end it. Each whole line of comment is left out when it runs.
trap '' HUP INT QUIT TERM PIPE USR1 USR2 TSTP TTIN TTOU
# A locked file: while it is open, no program starts the next server. Nothing is written into it.
exec 3>&2 2>/dev/null
id=
while read -r line; do id=$line; done
[ "$id" ] || exit 0
PATH=/bin:/usr/bin
client=$1; socket=$2

ask() {
  "$client" -q -s -f -m 20 -o /dev/null --unix-socket "$socket" -X "$1" "http://engine/containers/$id$2"
}

case ${client##*/} in
  curl)
    ask POST "/stop?t=2"
    for turn in 1 2 3 4 5; do
      # 22: the engine has no such container, or removes it now.
      ask DELETE "?force=1&v=1"
      case $? in 0 | 22) break ;; esac
      sleep 1 || break
    done ;;
  podman)
    "$client" --url "unix://$socket" stop -t 2 "$id"
    "$client" --url "unix://$socket" rm -f -v "$id" ;;
  *)
    "$client" -H "unix://$socket" stop -t 2 "$id"
    "$client" -H "unix://$socket" rm -f -v "$id" ;;
esac
