//! What the shells' completions ask this binary: what can stand where the cursor is.
//!
//! The packaged files for bash, zsh and fish only call the binary (`RMQ_COMPLETE=zsh rmq-node -- WORDS`; with bash
//! `rmq-node -- LINE BREAKS`), so that names of the cluster can be among the answers (`admin::names`). Not mqadmin's, whose
//! files have all that there is to say.
//! Invariants: nothing but answers is printed, and no command is run.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use clap::{Command, CommandFactory};
use clap_complete::env::{Bash, EnvCompleter, Fish, Shells, Zsh};
use clap_complete::{CompleteEnv, Shell, engine};

use super::{Cli, admin};

/// The shell that asks; the settings have `RMQ_NODE_`.
const VARIABLE: &str = "RMQ_COMPLETE";
const PROGRAM: &str = "rmq-node";
/// The words of a line of bash, which asks with the line.
static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

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

/// The words that a shell asks about, without the program's name.
pub(super) fn words() -> Vec<OsString> {
    let told = WORDS.get().cloned();
    let words = told
        .unwrap_or_else(|| std::env::args_os().skip_while(|word| word != "--").skip(1).collect());
    words.into_iter().skip(1).collect()
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
        Shell::Bash => return Ok(BASH.into()),
        _ => &Fish,
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

/// The file for bash, whose own in `clap_complete` takes words as bash cuts them: at `:` and `=`, and with their quotes.
const BASH: &str = r#"_rmq_node_answers() {
    mapfile -t COMPREPLY < <(
        RMQ_COMPLETE=bash rmq-node -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null
    )
    # More may come behind these.
    if [[ ${COMPREPLY-} == *[=/:] ]]; then compopt -o nospace; fi
}
complete -o bashdefault -o nosort -F _rmq_node_answers rmq-node
"#;

/// Bash, which is answered with what is to stand in the place of what it takes for the word at the cursor.
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
        _: &str,
        _: &str,
        _: &str,
        _: &str,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        out.write_all(BASH.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut Command,
        asked: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let mut asked = asked.iter().map(|one| one.to_string_lossy());
        let (line, breaks) = (asked.next().unwrap_or_default(), asked.next().unwrap_or_default());
        let Line { words, kept, quote } = Line::read(&line, &breaks);
        let index = words.len() - 1;
        let kept = words[index][..kept].to_owned();
        let words: Vec<_> = words.into_iter().map(OsString::from).collect();
        let words = WORDS.get_or_init(|| words).clone();
        for answer in engine::complete(command, words, index, folder)? {
            if let Some(rest) = answer.get_value().to_string_lossy().strip_prefix(&kept) {
                writeln!(out, "{}", quoted(rest, quote))?;
            }
        }
        Ok(())
    }
}

/// A line of bash up to the cursor.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// Its words without their quotes; the last one is at the cursor, and may be empty.
    words: Vec<String>,
    /// How many bytes of the last one bash leaves alone: what stands before a quote or another of its breaks.
    kept: usize,
    /// The quote that is open.
    quote: Option<char>,
}

impl Line {
    /// Reads it as a shell does; `breaks` are where bash cuts words (`COMP_WORDBREAKS`).
    fn read(line: &str, breaks: &str) -> Self {
        let (mut words, mut word, mut kept, mut quote) = (Vec::new(), None, 0, None);
        let mut chars = line.chars();
        while let Some(char) = chars.next() {
            if quote.is_none() && char.is_whitespace() {
                words.extend(word.take());
                kept = 0;
                continue;
            }
            let word = word.get_or_insert_with(String::new);
            match (quote, char) {
                (Some(open), _) if open == char => (quote, kept) = (None, word.len()),
                (None, '"' | '\'') => (quote, kept) = (Some(char), word.len()),
                (None | Some('"'), '\\') => {
                    let next = chars.next();
                    let is_quoted =
                        quote.is_none() || next.is_some_and(|one| IN_QUOTES.contains(one));
                    word.extend((!is_quoted).then_some(char).into_iter().chain(next));
                }
                _ => {
                    word.push(char);
                    if quote.is_none() && breaks.contains(char) {
                        kept = word.len();
                    }
                }
            }
        }
        words.push(word.unwrap_or_default());
        Self { words, kept, quote }
    }
}

/// What a backslash stands before within double quotes.
const IN_QUOTES: &str = "$`\"\\";

/// A text as it is typed within this quote, or without any.
pub(super) fn quoted(text: &str, quote: Option<char>) -> String {
    let is_special = |char: char| match quote {
        Some('"') => IN_QUOTES.contains(char),
        Some(_) => false,
        None => !char.is_alphanumeric() && !"_%+,./:=@^-".contains(char),
    };
    let mut all = String::new();
    for char in text.chars() {
        match (quote, char) {
            (Some('\''), '\'') => all.push_str(r"'\''"),
            _ => {
                all.extend(is_special(char).then_some('\\'));
                all.push(char);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words with `|` between them, how much of the last one is kept, and the open quote.
    fn read(line: &str) -> (String, usize, Option<char>) {
        let Line { words, kept, quote } = Line::read(line, " \t\n\"'@><=;|&(:");
        (words.join("|"), kept, quote)
    }

    #[test]
    fn a_line_is_read_as_bash_reads_it() {
        assert_eq!(read("rmq-node admin "), ("rmq-node|admin|".to_owned(), 0, None));
        assert_eq!(read("a -n h:9876 topics P"), ("a|-n|h:9876|topics|P".to_owned(), 0, None));
        assert_eq!(read("a -n h : 1"), ("a|-n|h|:|1".to_owned(), 0, None), "they stand apart");
        assert_eq!(read("a --topic=Pa"), ("a|--topic=Pa".to_owned(), 8, None));
        assert_eq!(read("a a:b"), ("a|a:b".to_owned(), 2, None));
        assert_eq!(read("a \"two w"), ("a|two w".to_owned(), 0, Some('"')));
        assert_eq!(read("a --file='two w"), ("a|--file=two w".to_owned(), 7, Some('\'')));
        assert_eq!(read("a 'two w' x"), ("a|two w|x".to_owned(), 0, None));
        assert_eq!(read("a \"x\"y"), ("a|xy".to_owned(), 1, None));
        assert_eq!(read(r"a two\ w"), ("a|two w".to_owned(), 0, None));
        assert_eq!(read(r#"a "x\"y\z"#), (r#"a|x"y\z"#.to_owned(), 0, Some('"')));
        assert_eq!(read(r"a 'x\'"), (r"a|x\".to_owned(), 2, None));
        assert_eq!(read("a ''"), ("a|".to_owned(), 0, None));
        assert_eq!(read(r"a x\"), ("a|x".to_owned(), 0, None));
        assert_eq!(read(""), (String::new(), 0, None));
    }

    #[test]
    fn an_answer_is_written_as_it_is_quoted_there() {
        assert_eq!(quoted("%RETRY%g:é", None), "%RETRY%g:é");
        assert_eq!(quoted("it's $1", None), r"it\'s\ \$1");
        assert_eq!(quoted("it's $1", Some('"')), r"it's \$1");
        assert_eq!(quoted("it's $1", Some('\'')), r"it'\''s $1");
    }
}
