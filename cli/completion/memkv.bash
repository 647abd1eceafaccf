# SPDX-License-Identifier: Apache-2.0
# bash completion for memkv; install as /usr/share/bash-completion/completions/memkv, or source it.
# What fits is asked of memkv itself, so this file knows no verb and no option.

_memkv()
{
	local line=$COMP_LINE word=${COMP_WORDS[COMP_CWORD]} colon=0 rest=:nothing candidate
	local -a words

	# bash splits words at colons; memkv has some in its addresses, so the words are split anew, at blanks
	line=${line:0:COMP_POINT}
	case $line in
	*[\"\'\\]*) words=("${COMP_WORDS[@]:1:COMP_CWORD}") ;;
	*)
		read -ra words <<<"$line"
		words=("${words[@]:1}")
		[[ $line == *[[:space:]] ]] && words+=('')
		;;
	esac
	((${#words[@]})) || words=('')
	word=${words[-1]}
	[[ $word == *:* && $COMP_WORDBREAKS == *:* ]] && colon=1

	COMPREPLY=()
	while IFS= read -r candidate; do
		case $candidate in
		:files | :directories | :nothing) rest=$candidate ;;
		*) COMPREPLY+=("${candidate%%$'\t'*}") ;;
		esac
	done < <("${COMP_WORDS[0]}" --complete "${words[@]}" 2>/dev/null)

	case $rest in
	:files) while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "$word") ;;
	:directories) while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -d -- "$word") ;;
	esac
	[[ $rest != :nothing ]] && compopt -o filenames 2>/dev/null

	# what stands before the last colon is on the line already
	if ((colon)); then
		local i prefix=${word%"${word##*:}"}
		for i in "${!COMPREPLY[@]}"; do
			COMPREPLY[i]=${COMPREPLY[i]#"$prefix"}
		done
	fi
	# "name:" waits for more
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
	return 0
}
complete -F _memkv memkv
