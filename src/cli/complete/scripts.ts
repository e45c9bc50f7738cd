export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/**
 * The script that makes a shell ask `orchd __complete`. Its answer has one candidate a line, with a
 * tab and a description behind it, or the single line `:file` where a file is to be named.
 */
export function completionScript(shell: Shell): string {
  return { bash: BASH, zsh: ZSH, fish: FISH }[shell];
}

// Bash breaks words at `=` and `:` too; the words are put together again from the line itself, and
// what stands before the last break is taken off the candidates.
const BASH = String.raw`# completion of orchd for bash
_orchd() {
  local line="\${COMP_LINE:0:COMP_POINT}" candidate current
  local -a words
  read -r -a words <<<"$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  current="\${words[\${#words[@]}-1]}"
  local cut="\${current%"\${COMP_WORDS[COMP_CWORD]}"}"
  [[ "\${COMP_WORDS[COMP_CWORD]}" == "=" ]] && cut="$current"
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    if [[ "$candidate" == ":file" ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done \
        < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
      return
    fi
    [[ "$candidate" == *= ]] && compopt -o nospace 2>/dev/null
    candidate="\${candidate#"$cut"}"
    [[ -n "$candidate" ]] && COMPREPLY+=("$candidate")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _orchd orchd
`.replaceAll("\\${", "${");

const ZSH = String.raw`#compdef orchd
# completion of orchd for zsh
_orchd() {
  local line value description
  local -a values shown open
  while IFS= read -r line; do
    if [[ "$line" == ":file" ]]; then
      _files
      return
    fi
    value="\${line%%$'\t'*}"
    description="\${line#*$'\t'}"
    [[ "$description" == "$value" ]] && description=""
    if [[ "$value" == *= ]]; then
      open+=("$value")
    else
      values+=("$value")
      shown+=("$value\${description:+  -- $description}")
    fi
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#open} )) && compadd -S '' -- "\${open[@]}"
  (( \${#values} )) && compadd -l -d shown -- "\${values[@]}"
  return 0
}
if [ "$funcstack[1]" = "_orchd" ]; then
  _orchd "$@"
else
  compdef _orchd orchd
fi
`.replaceAll("\\${", "${");

const FISH = String.raw`# completion of orchd for fish
function __orchd_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l answer ($words[1] __complete -- $words[2..-1] 2>/dev/null)
  if test "$answer[1]" = ":file"
    __fish_complete_path (commandline -ct)
  else
    printf '%s\n' $answer
  end
end
complete -c orchd -f -a '(__orchd_complete)'
`;
