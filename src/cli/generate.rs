//! Every file that is made of definitions: man pages, completions, all help texts and the list of metrics; a test compares
//! the committed ones.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, complete, manual, mqadmin};

/// Columns of the help texts, whatever the terminal's are.
const HELP_COLUMNS: usize = 100;

/// Writes all files below `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path) -> anyhow::Result<ExitCode> {
    for (path, content) in files()? {
        let path = folder.join(path);
        let made = std::fs::create_dir_all(path.parent().unwrap_or(folder));
        let written = made.and_then(|()| std::fs::write(&path, content));
        written.with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every file, as it is committed below `packaging/`, by its path there.
///
/// # Errors
/// Never in practice: the files are made in memory.
pub fn files() -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = manual::pages()?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut of_mqadmin = Vec::new();
        clap_complete::generate(shell, &mut mqadmin::command(), "mqadmin", &mut of_mqadmin);
        for (program, content) in
            [("rmq-node", complete::registration(shell)?), ("mqadmin", of_mqadmin)]
        {
            let name = match shell {
                Shell::Zsh => format!("_{program}"),
                Shell::Fish => format!("{program}.fish"),
                _ => program.to_owned(),
            };
            files.push((Path::new("completions").join(shell.to_string()).join(name), content));
        }
    }
    files.push((Path::new("prometheus").join("metrics.md"), crate::metrics::list().into_bytes()));
    files.push((PathBuf::from("help.txt"), helps().into_bytes()));
    Ok(files)
}

/// What `--help` prints of every command that is shown.
fn helps() -> String {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut text = String::new();
    add_helps(&command, &mut text);
    text
}

fn add_helps(command: &Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    // Not what this machine's environment has.
    let mut shown = command
        .clone()
        .term_width(HELP_COLUMNS)
        .mut_args(|argument| argument.hide_env_values(true));
    let help = shown.render_long_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    *text += &format!("$ {name} --help\n{}\n\n", lines.join("\n"));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        add_helps(below, text);
    }
}
