//! What the shells' completions ask this binary: what can stand where the cursor is.
//!
//! The packaged files for bash, zsh and fish only call the binary (`RMQ_COMPLETE=bash rmq-node -- WORDS`), so that names of
//! the cluster can be among the answers (`admin::names`). Not mqadmin's, whose files have all that there is to say.
//! Invariants: nothing but answers is printed, and no command is run.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::env::{Bash, EnvCompleter, Fish, Shells, Zsh};
use clap_complete::{CompleteEnv, Shell, engine};

use super::{Cli, admin};

/// The shell that asks; the settings have `RMQ_NODE_`.
const VARIABLE: &str = "RMQ_COMPLETE";
const PROGRAM: &str = "rmq-node";
/// Where bash has the cursor, and what it wants between answers.
const BASH_INDEX: &str = "_CLAP_COMPLETE_INDEX";
const BASH_SEPARATOR: &str = "_CLAP_IFS";

/// Answers a shell, if one asks.
///
/// # Errors
/// The shell is none that is known, or does not read the answer.
pub fn answer() -> anyhow::Result<bool> {
    let folder = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .shells(Shells(&[&OurBash, &Fish, &Zsh]))
        .try_complete(std::env::args_os(), folder.as_deref());
    Ok(asked?)
}

/// All commands, those that ask a cluster with its names.
fn command() -> Command {
    Cli::command()
        .mut_subcommand("admin", |admin| admin::with_names(admin, ""))
        .mut_subcommand("bench", |bench| admin::with_names(bench, ""))
}

/// The file that a shell loads.
///
/// # Errors
/// Never in practice: it is made in memory.
pub fn registration(shell: Shell) -> io::Result<Vec<u8>> {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Zsh => return Ok(ZSH.into()),
        Shell::Fish => &Fish,
        _ => &Bash,
    };
    let mut text = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut text)?;
    Ok(text)
}

/// The file for zsh, whose own in `clap_complete` asks with quotes as they were typed, and has flags before names.
const ZSH: &str = r#"#compdef rmq-node
_rmq_node_answers() {
    # Words without their quotes; of the word at the cursor what stands before that.
    local -a typed=("${(Q)words[@]}") answers names folders described
    typed[CURRENT]=${(Q)PREFIX}
    answers=("${(@f)$( \
        _CLAP_COMPLETE_INDEX=$((CURRENT - 1)) RMQ_COMPLETE=zsh rmq-node -- "${typed[@]}" 2>/dev/null \
    )}")
    local answer ret=1
    for answer in $answers; do
        case $answer in
            (*[^\\]:*) described+=("$answer") ;;
            (*/) folders+=("${answer%/}") ;;
            (*) names+=("$answer") ;;
        esac
    done
    # Flags can stand nearly everywhere, and whoever presses the key again wants a name.
    (( $#names )) && _describe -V names names && ret=0
    (( $#folders )) && _describe -V folders folders -S / -r / && ret=0
    (( $#described )) && _describe -V others described && ret=0
    return ret
}

compdef _rmq_node_answers rmq-node
# Loaded by its name at the first question, it has to answer that too.
if [[ $funcstack[1] == _rmq-node ]]; then _rmq_node_answers; fi
"#;

/// Bash, which takes `host:9876` for three words.
struct OurBash;

impl EnvCompleter for OurBash {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        Bash.write_registration(variable, name, program, completer, out)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let text = |name| std::env::var(name).ok();
        let index = text(BASH_INDEX).and_then(|index| index.parse().ok()).unwrap_or_default();
        let separator = text(BASH_SEPARATOR).unwrap_or_else(|| "\n".to_owned());
        let (words, index) = joined(words, index);
        let answers = engine::complete(command, words, index, folder)?;
        let answers: Vec<_> = answers.iter().map(|one| one.get_value().to_string_lossy()).collect();
        out.write_all(answers.join(&separator).as_bytes())
    }
}

/// The words as they were typed: what bash has cut at `:` and `=` is put together again.
pub(super) fn joined(words: Vec<OsString>, index: usize) -> (Vec<OsString>, usize) {
    let (mut all, mut at) = (Vec::<OsString>::new(), index);
    let (mut is_open, mut place) = (false, 0);
    for word in words {
        let is_cut = word == ":" || word == "=";
        match all.last_mut().filter(|_| is_cut || is_open) {
            Some(last) => {
                last.push(&word);
                if place <= index {
                    at -= 1;
                }
            }
            None => all.push(word),
        }
        is_open = is_cut;
        place += 1;
    }
    (all, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bash_cuts_is_put_together() {
        let joined = |words: &str, index| {
            let (words, index) = joined(words.split(' ').map(OsString::from).collect(), index);
            let words: Vec<_> =
                words.iter().map(|one| one.to_string_lossy().into_owned()).collect();
            (words.join(" "), index)
        };
        let whole = "rmq-node admin -n h:1 topics show T";
        assert_eq!(joined("rmq-node admin -n h : 1 topics show T", 8), (whole.to_owned(), 6));
        let whole = "rmq-node admin --socket=/s topics";
        assert_eq!(joined("rmq-node admin --socket = /s topics", 2), (whole.to_owned(), 2));
        assert_eq!(joined("rmq-node admin -n h : 1", 5), ("rmq-node admin -n h:1".to_owned(), 3));
        assert_eq!(joined("rmq-node admin", 1), ("rmq-node admin".to_owned(), 1));
    }
}
