# Completion of signpost(1) for bash. Source it, or install it as
# PREFIX/share/bash-completion/completions/signpost.

# The ids of peers. An index that is away must not keep the user waiting.
_signpost_peers()
{
    signpost list --quiet --timeout 1 2>/dev/null | cut -f 1
}

_signpost()
{
    local commands='register list watch send recv listen connect check key help version'
    local common='--index --network --key-file --id --secret-file --ca-file --timeout --json
        --quiet --verbose --help'
    local with_value=' --index --network --key-file --id --secret-file --ca-file --timeout
        --endpoint --meta --ttl --filter --type --session
        --port --scheme --protocol --stun-server '
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' arguments=0 word i

    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -?* ]]; then
            # bash has "--option=value" as three words.
            if [[ ${COMP_WORDS[i + 1]} == = ]]; then
                ((i += 2))
            elif [[ $with_value == *[[:space:]]"$word"[[:space:]]* ]]; then
                ((i += 1))
            fi
            # And an URL as several, parted by colons.
            while [[ ${COMP_WORDS[i + 1]} == : ]]; do
                ((i += 2))
            done
        elif [[ -z $command ]]; then
            command=$word
        else
            ((arguments += 1))
        fi
    done

    COMPREPLY=()
    if [[ $current == = ]]; then
        current=''
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $previous in
        --key-file | --secret-file | --ca-file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        --type)
            mapfile -t COMPREPLY < <(
                compgen -W 'knock ready offer answer candidates bye message' -- "$current")
            return
            ;;
        --protocol)
            mapfile -t COMPREPLY < <(compgen -W 'tcp udp' -- "$current")
            return
            ;;
        --*)
            [[ $with_value == *[[:space:]]"$previous"[[:space:]]* ]] && return
            ;;
    esac

    local words=''
    case $command in
        '') words=$commands; [[ $current == -* ]] && words="$common --version" ;;
        register) words="$common --endpoint --meta --ttl --unlisted" ;;
        list) words="$common --filter --watch" ;;
        watch) words="$common --filter" ;;
        send)
            words="$common --type --session --ttl"
            ((arguments == 0)) && [[ $current != -* ]] && words=$(_signpost_peers)
            ;;
        recv) words="$common --follow" ;;
        listen) words="$common --port --unlisted" ;;
        connect)
            words="$common --scheme"
            ((arguments == 0)) && [[ $current != -* ]] && words=$(_signpost_peers)
            ;;
        check)
            words="$common --port --protocol --no-listen --map --all --publish --stun-server"
            ;;
        key)
            words="$common --operator"
            ((arguments == 0)) && [[ $current != -* ]] && words='new'
            ;;
        help)
            words=$common
            ((arguments == 0)) && [[ $current != -* ]] && words=$commands
            ;;
        version) words=$common ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _signpost signpost
