# Completion of postern for bash. Made by "npm run docs".
_postern() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "serve check eval explain pin console pki demo passwd bench --help --version" -- "$word"))
    return
  fi
  case $before in
    -c|--config|--cert|--chain|--password-file|--ca|--key|-f|--file) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case ${COMP_WORDS[1]} in
    serve) COMPREPLY=($(compgen -f -W "-c --config --workers" -- "$word")) ;;
    check) COMPREPLY=($(compgen -f -W "-c --config" -- "$word")) ;;
    eval) COMPREPLY=($(compgen -W "-c --config --listen --peer --pathway --domain --binding --host" -- "$word")) ;;
    explain) COMPREPLY=($(compgen -W "-c --config --listen --peer --cert --chain --sni --tls --no-tls --helo --auth --from --to --dns --json" -- "$word")) ;;
    pin) COMPREPLY=($(compgen -f -W "" -- "$word")) ;;
    console) COMPREPLY=($(compgen -W "-c --config --json --user --password-file --ca --cert --key help version pid sysinfo summary paniclog reopen authz config reload write mailq show active delayed binding domain showqueue message flush fail delay reroute rebind count refresh tls dns_cache dig mta_sts threads module scriptlet shutdown trace counter cache" -- "$word")) ;;
    pki) COMPREPLY=($(compgen -d -W "" -- "$word")) ;;
    demo) COMPREPLY=($(compgen -W "" -- "$word")) ;;
    passwd) COMPREPLY=($(compgen -W "-f --file --hash --realm" -- "$word")) ;;
    bench) COMPREPLY=($(compgen -W "--messages --connections --per-connection --size --rate --processes --starttls --resume --cert --key --from --to --no-quit-wait --json" -- "$word")) ;;
  esac
}
complete -o filenames -F _postern postern
