# shellcheck shell=bash
# Servers in the background, for stack.sh and site.sh, which source this file.
#
# The script that sources it sets $folder (everything below lives there) and $servers (their
# names, in the order in which they start), and has
#   run_server NAME   becomes the server: ends in `exec`; its output is $folder/logs/NAME.log
#   is_ready NAME     succeeds once the server answers
# and hands its arguments on to `enter` when the first is `__run`.
#
# A server is known by its pid and the moment that process began, so a pid that was given to
# another program since is never signalled.

# shellcheck disable=SC2154 # $servers, $folder: the sourcing script sets them

fail() { echo "${0##*/}: $*" >&2; exit 1; }

open_folder() { # PATH — made, private, and locked against a second command at the same time
    mkdir -p "$1"
    folder=$(realpath "$1")
    chmod 700 "$folder"
    mkdir -p "$folder"/{logs,pids,secrets,data}
    [ "${2:-}" = unlocked ] && return
    exec {lock}>"$folder/lock"
    flock -w 300 "$lock" || fail "another command still works on $folder"
}

# ---- Secrets and ports: chosen once, kept in the folder

secret() { # NAME
    local file=$folder/secrets/$1
    [ -s "$file" ] || (umask 077; od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$file")
    cat "$file"
}

# Ports that some folder of this machine has chosen: links named after the port, to that folder.
port_registry=/tmp/goligoli-ports

port() { # NAME — the same one at each start; never one that another folder has chosen
    local file=$folder/data/port.$1 first last number owner try
    if [ -s "$file" ]; then cat "$file"; return; fi
    [ -d "$port_registry" ] || mkdir -m 1777 "$port_registry" 2>/dev/null || [ -d "$port_registry" ]
    # Below the range from which the kernel takes ports for outgoing connections.
    read -r last _ </proc/sys/net/ipv4/ip_local_port_range
    first=$((last > 20000 ? 15000 : 2000))
    for try in {1..2000}; do
        number=$((first + (RANDOM * 32768 + RANDOM) % (last - first)))
        owner=$(readlink "$port_registry/$number" || true)
        if [ -n "$owner" ] && ! grep -qsx "$number" "$owner"/data/port.*; then
            rm -f "$port_registry/$number" 2>/dev/null || continue
        fi
        ln -s "$folder" "$port_registry/$number" 2>/dev/null || continue
        echo "$number" >"$file"
        # Somebody may listen there who does not keep to the registry.
        if ! listens "$number"; then cat "$file"; return; fi
        rm -f "$port_registry/$number" "$file"
    done
    fail "no free port between $first and $last after $try attempts"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # PORT

forget_ports() {
    local file
    for file in "$folder"/data/port.*; do
        [ -s "$file" ] && rm -f "$port_registry/$(<"$file")"
    done
    return 0
}

# ---- One server

birth() { # PID — when that process began, and in which boot; fails if it is gone or a zombie
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] && echo "${fields[19]} $(</proc/sys/kernel/random/boot_id)"
}

pid() { # NAME — of the running server; fails if it does not run
    local number began
    { read -r number began <"$folder/pids/$1"; } 2>/dev/null || return 1
    [ "$(birth "$number")" = "$began" ] && echo "$number"
}

runs() { pid "$1" >/dev/null 2>&1; } # NAME

enter() { # NAME — in the process that becomes the server
    local fd
    # What the caller holds open (locks above all) must not live on in a server.
    for fd in "/proc/$$/fd"/*; do
        fd=${fd##*/}
        if [ "$fd" -gt 2 ] && [ "$fd" != 255 ]; then eval "exec $fd>&-"; fi
    done
    echo "$$ $(birth $$)" >"$folder/pids/.$1" && mv "$folder/pids/.$1" "$folder/pids/$1"
    run_server "$1"
}

launch() { # NAME — without waiting for it; nothing if it runs
    runs "$1" && return
    rm -f "$folder/pids/$1"
    # A session of its own: a Ctrl-C on whoever called does not reach it.
    setsid --fork "$0" __run "$1" </dev/null >>"$folder/logs/$1.log" 2>&1
}

await() { # NAME — until it answers; says its last lines if it does not within 30 s
    local deadline=$((SECONDS + 30)) why="does not answer after 30 s"
    while [ $SECONDS -lt $deadline ]; do
        if runs "$1"; then
            if is_ready "$1" >/dev/null 2>&1; then return; fi
        elif [ -e "$folder/pids/$1" ]; then
            why="ended while it started"
            break
        fi
        sleep 0.1
    done
    echo "last lines of $folder/logs/$1.log:" >&2
    tail -n 15 "$folder/logs/$1.log" >&2
    fail "$1 $why"
}

send() { # SIGNAL NAME — to its whole process group: nginx has workers
    local number
    number=$(pid "$2") || fail "$2 does not run"
    kill "-$1" -- "-$number"
}

gone() { # SECONDS NAME — waits until it has ended
    local tenth
    for ((tenth = 0; tenth < $1 * 10; tenth++)); do
        runs "$2" || return 0
        sleep 0.1
    done
    return 1
}

murder() { # NAME — kill -9, and gone when this returns; nothing if it does not run
    (send KILL "$1") 2>/dev/null || return 0
    gone 10 "$1" || fail "$1 is still there 10 s after kill -9"
}

end() { # NAME — asked to end, waited for, killed after 20 s; nothing if it does not run
    (send TERM "$1") 2>/dev/null || return 0
    # One that hangs under SIGSTOP takes the SIGTERM only when it goes on.
    (send CONT "$1") 2>/dev/null || true
    gone 20 "$1" || { echo "$1 did not end within 20 s of SIGTERM: killed" >&2; murder "$1"; }
    rm -f "$folder/pids/$1"
}

known() { # NAME
    [[ " ${servers[*]} " == *" ${1:-} "* ]] || fail "no server \"${1:-}\"; there are: ${servers[*]}"
}

# ---- All of them

end_all() {
    local index
    for ((index = ${#servers[@]} - 1; index >= 0; index--)); do end "${servers[index]}"; done
}

print_status() {
    local name number state
    for name in "${servers[@]}"; do
        if ! number=$(pid "$name"); then
            printf '%-12s not running\n' "$name"
            continue
        fi
        state=answers
        is_ready "$name" >/dev/null 2>&1 || state="does not answer"
        grep -q '^State:.*stopped' "/proc/$number/status" && state="stopped by a signal"
        printf '%-12s pid %-8s %s\n' "$name" "$number" "$state"
    done
}
