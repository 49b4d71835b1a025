#!/bin/sh
# A walk through the index with nothing but curl: two nodes meet, a third one is seen coming, an
# offer goes through a mailbox, and a node that falls silent is seen leaving. Each command is
# printed as you would type it, then run; the script fails where a reply is not what it says.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
signpostd=${SIGNPOSTD:-$root/build/signpostd}
work=$(mktemp -d)
index_pid='' watch_pid=''
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY || :

clean_up() {
    [ -z "$watch_pid" ] || kill "$watch_pid" 2>/dev/null || :
    [ -z "$index_pid" ] || kill "$index_pid" 2>/dev/null || :
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# --- telling the story ------------------------------------------------------------------------

say() {
    printf '\n# %s\n' "$*"
}

fail() {
    printf '\nThis is not what the story says: %s\n' "$*" >&2
    exit 1
}

# Prints a command line as one would type it: what the shell would take apart is quoted.
show() {
    printf '$ curl'
    for word in "$@"; do
        case $word in
            '&') printf ' &' ;;
            *[!A-Za-z0-9_./:=-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
}

# Shows a request, makes it, shows the reply and keeps it in $reply.
ask() {
    show "$@"
    reply=$(curl --silent --show-error --globoff --max-time 30 "$@") || fail "curl ended with $?"
    printf '%s\n' "$reply"
}

# The reply, without any blank, holds the text: expect '"state":"queued"' 'it waits in the mailbox'
expect() {
    case $(printf '%s' "$reply" | tr -d ' \n') in
        *"$1"*) ;;
        *) fail "$2" ;;
    esac
}

# The value of a member that holds a string: member token
member() {
    printf '%s' "$reply" | sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p'
}

# --- the index --------------------------------------------------------------------------------

say 'Start the index on a free port of this machine.'
mkfifo "$work/log"
printf '$ signpostd --listen 127.0.0.1:0 --db signpost.db\n'
"$signpostd" --listen 127.0.0.1:0 --db "$work/signpost.db" 2>"$work/log" &
index_pid=$!
exec 3<"$work/log"
port=''
while read -r line <&3; do
    printf '%s\n' "$line"
    case $line in
        *' listening '*port=*) port=${line##*port=} port=${port%% *} ;;
        *' ready'*) break ;;
    esac
done
[ -n "$port" ] || fail 'the index did not start'
index=http://127.0.0.1:$port

say 'Two nodes register. The index fills in the host of an endpoint that leaves it out.'
ask "$index/register" --json '{"id": "master-a", "endpoints": ["grpc://:50051"]}'
expect '"id":"master-a"' 'master-a is registered'
expect '"grpc://127.0.0.1:50051"' 'the endpoint has got the observed address'
token_a=$(member token)
[ -n "$token_a" ] || fail 'master-a has got a token'
ask "$index/register" --json '{"id": "master-b", "meta": {"role": "master"}}'
expect '"id":"master-b"' 'master-b is registered'
token_b=$(member token)

say 'Anyone finds them, with where they are and how long they stay without a sign of life.'
ask "$index/list"
expect '"id":"master-a"' 'master-a is in the list'
expect '"id":"master-b"' 'master-b is in the list'
cursor=$(member cursor)

say 'A long poll waits, in the background, for whatever changes after that list ...'
show "$index/list?since=$cursor&wait=25" '&'
curl --silent --show-error --globoff --max-time 30 "$index/list?since=$cursor&wait=25" \
    >"$work/watched" &
watch_pid=$!

say '... and a third node comes: it says that it will be silent for 5 seconds at most.'
ask "$index/register" --json '{"id": "visitor", "ttl": 5}'
expect '"ttl":5' 'the lease is 5 seconds'

say 'The poll has answered with just that.'
wait "$watch_pid" || fail 'the poll is answered'
watch_pid=''
reply=$(cat "$work/watched")
printf '%s\n' "$reply"
expect '"id":"visitor"' 'the poll shows the visitor'
expect '"gone":[]' 'nobody has left'
cursor=$(member cursor)

say 'master-b leaves an offer in the mailbox of master-a. Its token says who it is.'
ask "$index/mailbox/master-a" --header "Authorization: Bearer $token_b" \
    --json '{"id": "m1", "session": "s1", "type": "offer", "body": {"sdp": "v=0 ..."}}'
expect '"state":"queued"' 'the offer waits in the mailbox'

say 'master-a reads it. The index has stamped who sent it, and from where.'
ask "$index/mailbox/master-a?wait=5" --header "Authorization: Bearer $token_a"
expect '"type":"offer"' 'the offer is there'
expect '"from":"master-b"' 'it is from master-b'
expect '"body":{"sdp":"v=0..."}' 'its body is as it was sent'
next=$(member next)

say 'Asking on with "next" says that it has arrived: the mailbox is empty again.'
ask "$index/mailbox/master-a?after=$next" --header "Authorization: Bearer $token_a"
expect '"messages":[]' 'the mailbox is empty'

say 'The visitor sends no heartbeat: as its lease ends, whoever waits hears that it is gone.'
ask "$index/list?since=$cursor&wait=25"
expect '"gone":["visitor"]' 'the visitor is gone'

say 'Stop the index. What it knew is in its database, and there when it comes back.'
printf '$ kill %s\n' "$index_pid"
kill "$index_pid"
wait "$index_pid" || fail "the index ended with $?"
index_pid=''
printf '\nThat is all there is to it.\n'
