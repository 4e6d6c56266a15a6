#!/bin/bash
# Four members, each in a network namespace of its own. The cable of one is pulled for AWAY seconds
# while the others cast; it is plugged in again, and CRASH seconds later another one is killed. Is
# what is cast after that delivered by the three that are left?
# usage: cut_off.sh NODE_BINARY AWAY CRASH tcp|udp
# Ends with 0 if it is, with 1 if not, and with 77 where network namespaces are not permitted.
set -u
node=$1; away=$2; crash=$3; transport=$4
tag=ph$$
names=(alice bob carol dave)
dir=$(mktemp -d); cd "$dir" || exit 1

end() {
  for pid in *.pid; do [ -f "$pid" ] && kill -KILL "$(cat "$pid")" 2>/dev/null; done
  for i in 0 1 2 3; do ip netns del $tag-$i 2>/dev/null; done
  ip netns del $tag-hub 2>/dev/null
  rm -rf "$dir"
}
trap end EXIT

if ! ip netns add $tag-hub 2>/dev/null; then
  echo "SKIPPED: network namespaces are not permitted here"
  exit 77
fi
hub() { ip netns exec $tag-hub "$@"; }
if ! { hub ip link add name hub type bridge && hub ip link set hub up; } 2>/dev/null; then
  echo "SKIPPED: bridges are not permitted here"
  exit 77
fi
for i in 0 1 2 3; do
  ip netns add $tag-$i
  ip link add name cable netns $tag-$i type veth peer name port$i netns $tag-hub || exit 77
  hub ip link set port$i master hub up
  ip netns exec $tag-$i ip addr add 10.77.0.$((i + 1))/24 dev cable
  ip netns exec $tag-$i ip link set cable up
  ip netns exec $tag-$i ip link set lo up
done

"$node" testnet --members 4 --transport "$transport" --base-port 24400 --out net > /dev/null || exit 1
for i in 0 1 2 3; do
  sed -i "s/127.0.0.1:$((24400 + i))/10.77.0.$((i + 1)):24400/" net/group.toml "net/${names[$i]}/node.toml"
done
for i in 0 1 2 3; do
  name=${names[$i]}
  mkfifo -m 600 "$name.in"
  ip netns exec $tag-$i "$node" run --home "net/$name" --pipe < "$name.in" > "$name.out" 2> "$name.err" &
  echo $! > "$name.pid"
done
exec 11> alice.in 12> bob.in 13> carol.in 14> dave.in
sleep 3
for i in $(seq 300); do echo "a$i" >&11; echo "b$i" >&12; sleep 0.05; [ "$i" = 20 ] && hub ip link set port3 down; done
sleep "$away"
hub ip link set port3 up
sleep "$crash"
kill -KILL "$(cat carol.pid)"
sleep 30
echo the-last-cast >&11
sleep 15
result=0
for name in alice bob; do
  grep -q the-last-cast "$name.out" || { echo "$name did not deliver the last cast"; result=1; }
done
if [ $result != 0 ]; then
  for name in "${names[@]}"; do echo "== $name"; tail -12 "$name.err"; done
fi
exit $result
