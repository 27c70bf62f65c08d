#!/bin/sh
# checksum: the SHA-256 of a file, with the shell and coreutils alone.
#
#   bulkhead submit checksum --params '{"path":"/etc/os-release"}' --wait
#
# params   path     an absolute path. The file must lie where the policy lets the handler read (below /usr,
#                   /opt, /etc or a `read` folder of policies/checksum.yaml), and be readable by its user.
# result   {"algorithm":"sha256","digest":"…","bytes":12345,"path":"…"}
# stdout   one line as sha256sum prints it.
# exit     65 when the params or the file are not as they must be, so that it is not tried again.

LC_ALL=C
export LC_ALL
# By hand, without Bulkhead, there is no descriptor 3; the events then go to stderr.
{ true >&3; } 2>/dev/null || exec 3>&2

most=65536 # bytes of the task's JSON; more would be slow to read in a shell

# refuse MESSAGE HINT [CODE]: both are JSON text already, and CODE tells whether a retry makes sense.
refuse() {
    printf '{"error":{"message":"%s","retryable":false,"hint":"%s"}}\n' "$1" "$2" >&3
    exit "${3:-65}"
}

# find_path: reads the task, one byte on each line, and prints params.path, its escapes as they are; fails
# without one.
#
# The supervisor writes valid JSON, so strings and brackets are all that must be told apart. A string before a
# colon is a key, and the depth says of what: at 1 of the task, at 2 of one of its values.
find_path() {
    state=outside depth=0 key1= key2= raw=
    while IFS= read -r byte; do
        case $state$byte in
        inside\") state=behind ;;
        inside\\) raw=$raw$byte state=escape ;;
        inside* | escape*) raw=$raw$byte state=inside ;;
        *' ' | *'	' | outside | behind) ;;
        behind:)
            [ "$depth" -eq 1 ] && key1=$raw
            [ "$depth" -eq 2 ] && key2=$raw
            state=outside
            ;;
        *)
            if [ "$state" = behind ] && [ "$depth $key1 $key2" = "2 params path" ]; then
                printf %s "$raw"
                return 0
            fi
            state=outside
            case $byte in
            \") raw= state=inside ;;
            [\[\{]) depth=$((depth + 1)) key2= ;;
            []\}]) depth=$((depth - 1)) key2= ;;
            ,) key2= ;;
            esac
            ;;
        esac
    done
    return 1
}

# byte NUMBER: prints one byte.
byte() { printf "\\$(($1 / 64))$(($1 / 8 % 8))$(($1 % 8))"; }

# scalar NUMBER: prints a Unicode scalar as UTF-8.
scalar() {
    if [ "$1" -lt 128 ]; then
        byte "$1"
    elif [ "$1" -lt 2048 ]; then
        byte $((192 + $1 / 64))
        byte $((128 + $1 % 64))
    elif [ "$1" -lt 65536 ]; then
        byte $((224 + $1 / 4096))
        byte $((128 + $1 / 64 % 64))
        byte $((128 + $1 % 64))
    else
        byte $((240 + $1 / 262144))
        byte $((128 + $1 / 4096 % 64))
        byte $((128 + $1 / 64 % 64))
        byte $((128 + $1 % 64))
    fi
}

# unescape JSON: prints what a JSON string means.
unescape() {
    left=$1
    while :; do
        part=${left%%\\*}
        printf %s "$part"
        left=${left#"$part"}
        case $left in
        '') return 0 ;;
        \\n*) printf '\n' ;;
        \\t*) printf '\t' ;;
        \\r*) printf '\r' ;;
        \\b*) printf '\b' ;;
        \\f*) printf '\f' ;;
        \\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]*)
            tail=${left#??????}
            digits=${left%"$tail"}
            code=$((0x${digits#??}))
            if [ "$code" -ge 55296 ] && [ "$code" -lt 56320 ]; then
                low=${tail#??}
                tail=${tail#??????}
                code=$((65536 + (code - 55296) * 1024 + 0x${low%"$tail"} - 56320))
            fi
            [ "$code" -gt 0 ] || return 1
            scalar "$code"
            left=$tail
            continue
            ;;
        \\?*)
            tail=${left#??}
            sign=${left%"$tail"}
            printf %s "${sign#?}"
            ;;
        *) return 1 ;;
        esac
        left=${left#??}
    done
}

for tool in cat fold head sha256sum stat; do
    command -v "$tool" >/dev/null ||
        refuse "$tool is not installed" "Install it with: sudo apt-get install coreutils" 78
done

found=$(head -c "$most" | fold -b -w 1 | find_path) ||
    refuse "params.path must be a text, within the first $most bytes of the task" \
        'Submit with --params {\"path\":\"/absolute/path\"}.'
cat >/dev/null
[ ${#found} -le 24576 ] || refuse "params.path is too long" "No path has more than 4095 bytes."
# The mark keeps what a command substitution drops: line feeds at the end.
path=$(unescape "$found" && printf .) || refuse "params.path holds a NUL character" "No file has such a name."
path=${path%.}
case $path in
/*) ;;
*) refuse "\\\"$found\\\" is not an absolute path" "Begin it with a slash." ;;
esac

where="The file must lie below /usr, /opt, /etc or a read folder of policies/checksum.yaml, and be readable by the handler's user."
[ -e "$path" ] || refuse "there is no file \\\"$found\\\", or a folder above it is closed to the handler" "$where"
[ -f "$path" ] || refuse "\\\"$found\\\" is not a regular file" "Name a file, not a folder or a device."

bytes=$(stat -L -c %s -- "$path") || refuse "\\\"$found\\\" cannot be looked at" "$where"
printf '{"progress":{"message":"reading %s bytes"}}\n' "$bytes" >&3
sum=$(sha256sum <"$path") || refuse "\\\"$found\\\" cannot be read" "$where"
digest=${sum%% *}

printf '%s  %s\n' "$digest" "$path"
printf '{"result":{"algorithm":"sha256","digest":"%s","bytes":%s,"path":"%s"}}\n' "$digest" "$bytes" "$found" >&3
