//! Man pages, shell completions and the list of metrics, made of their definitions; a test compares the committed ones.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, mqadmin};

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
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut files = Vec::new();
    man_pages(&command, &mut files)?;
    // One page for all of them, not to be mistaken for that of 4.9.4's own tool.
    files.push((Path::new("man").join("rmq-node-mqadmin.1"), mqadmin_page()?));
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        for (program, mut command) in
            [("rmq-node", Cli::command()), ("mqadmin", mqadmin::command())]
        {
            let mut content = Vec::new();
            clap_complete::generate(shell, &mut command, program, &mut content);
            let name = match shell {
                Shell::Zsh => format!("_{program}"),
                Shell::Fish => format!("{program}.fish"),
                _ => program.to_owned(),
            };
            files.push((Path::new("completions").join(shell.to_string()).join(name), content));
        }
    }
    files.push((Path::new("prometheus").join("metrics.md"), crate::metrics::list().into_bytes()));
    Ok(files)
}

/// A command's page, without a date, so that the same definitions make the same page.
fn man_page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    clap_mangen::Man::new(command).date("").manual("rmq-node").render(&mut content)?;
    Ok(content)
}

/// The page of the old commands: the help of each as it is printed.
fn mqadmin_page() -> io::Result<Vec<u8>> {
    let mut content = man_page(mqadmin::program())?;
    content.extend_from_slice(b".SH COMMANDS\n");
    for (name, help) in mqadmin::helps() {
        let help = help.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        content.extend_from_slice(format!(".SS {name}\n.nf\n{help}.fi\n").as_bytes());
    }
    Ok(content)
}

/// A page for `command`, which was built, and for each of its visible subcommands.
fn man_pages(command: &clap::Command, files: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
    let content = man_page(command.clone())?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    files.push((Path::new("man").join(format!("{name}.1")), content));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        man_pages(below, files)?;
    }
    Ok(())
}
