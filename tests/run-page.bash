# Runs the commands of a page of the documentation: every line of its ```sh blocks, one after the other, in this shell.
# Whoever sources this file has `compose` (docker compose for the stack at hand) and `fail`.
#
# A line ends with "#=> TEXT" when its output has to hold that text, and with "#=> soon TEXT" when it is to be repeated
# until it does. Every line has to succeed.

PAGE_LIMIT=120 # seconds for "soon"

# The pages say `docker compose`.
docker() {
  [ "$1" = compose ] || fail "a page may use docker compose only, not: docker $*"
  shift
  compose "$@"
}

commands_of() { # page; a block's lines, those that end with a backslash joined with the next one
  sed -n '/^```sh$/,/^```$/{/^```/d;p}' "$1" | sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}'
}

run_page() { # page
  local line text soon output end
  output=$(mktemp)
  while IFS= read -r -u 4 line; do
    [ -n "$line" ] || continue
    printf '$ %s\n' "$line"
    text='' soon=''
    if [[ $line =~ ^(.*[^ ])\ +'#=>'\ (soon\ )?(.+)$ ]]; then
      line=${BASH_REMATCH[1]} soon=${BASH_REMATCH[2]} text=${BASH_REMATCH[3]}
    fi
    end=$((SECONDS + PAGE_LIMIT))
    until run_line; do
      [ -n "$soon" ] && [ "$SECONDS" -lt "$end" ] || {
        cat "$output" >&2
        rm "$output"
        fail "$1: that was the output of: $line${text:+, which has to hold: $text}"
      }
      sleep 1
    done
  done 4< <(commands_of "$1")
  rm "$output"
}

run_line() {
  eval "$line" >"$output" 2>&1 </dev/null && { [ -z "$text" ] || grep -qF -- "$text" "$output"; }
}
