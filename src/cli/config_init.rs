//! `rmq-node config init`: prints or writes the files of a new cluster.
//!
//! Not what is in them (`config::init`). Invariants: without `--force` no file that sets anything is changed, and nothing is
//! written if one of several is there; with it, the old one is kept beside the new one, which has its
//! owner and mode.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::config::init::{Mode, Plan};

const FILE: &str = "rmq-node.toml";

/// Print the file of this host in a new cluster, or write those of all hosts.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The cluster's name.
    #[arg(long, value_name = "NAME", default_value = "DefaultCluster")]
    cluster: String,
    /// The addresses at which all hosts of the cluster are dialled.
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',', required = true)]
    hosts: Vec<IpAddr>,
    /// How the brokers stand to one another; three or more hosts make a ring in 2m-2s-async and
    /// 2m-2s-sync [default: 2m-2s-async, with one host single].
    #[arg(long, value_parser = mode_parser())]
    mode: Option<Mode>,
    /// Which of the hosts this one is [default: the one whose address it has].
    #[arg(long, value_name = "ADDRESS")]
    this: Option<IpAddr>,
    /// Write into this folder: with --this its rmq-node.toml, else one in a folder for each host.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files that are there and set something; each old one is kept beside its new one.
    #[arg(long, requires = "out")]
    force: bool,
}

fn mode_parser() -> impl TypedValueParser<Value = Mode> {
    let names = Mode::ALL.map(|(name, _)| name);
    PossibleValuesParser::new(names).map(|name| Mode::named(&name).expect("it is one of all"))
}

/// Runs the action.
///
/// # Errors
/// The hosts or the name are wrong, this host is none of them, or a file cannot be written.
pub fn run(arguments: &InitArgs) -> anyhow::Result<ExitCode> {
    let InitArgs { hosts, this, out, .. } = arguments;
    let plan = Plan {
        cluster: arguments.cluster.clone(),
        hosts: hosts.clone(),
        mode: arguments.mode.unwrap_or_else(|| Mode::of_hosts(hosts.len())),
    };
    let files: Vec<(IpAddr, String)> = hosts.iter().copied().zip(plan.files()?).collect();
    match out {
        None => {
            let host = this_host(hosts, *this, is_own)?;
            let file = files.iter().find(|(one, _)| *one == host).map(|(_, text)| text.as_str());
            super::print(file.unwrap_or_default())?;
        }
        Some(dir) if this.is_some() => {
            let host = this_host(hosts, *this, is_own)?;
            let own = files.into_iter().filter(|(one, _)| *one == host);
            write(own.map(|(_, text)| (dir.join(FILE), text)).collect(), arguments.force)?;
        }
        Some(dir) => {
            let each = files.into_iter();
            let each = each.map(|(host, text)| (dir.join(host.to_string()).join(FILE), text));
            write(each.collect(), arguments.force)?;
            super::print(&format!("copy each to its host as {}\n", crate::config::DEFAULT_FILE))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The one that is named, or the only one whose address this host has.
fn this_host(
    hosts: &[IpAddr],
    named: Option<IpAddr>,
    is_own: fn(IpAddr) -> bool,
) -> anyhow::Result<IpAddr> {
    if let Some(host) = named {
        if !hosts.contains(&host) {
            bail!("--this {host} is none of the --hosts");
        }
        return Ok(host);
    }
    let mut own = hosts.iter().filter(|host| is_own(**host));
    match (hosts, own.next(), own.next()) {
        ([only], ..) => Ok(*only),
        (_, Some(host), None) => Ok(*host),
        ([first, ..], found, _) => {
            let has = if found.is_none() { "none" } else { "several" };
            bail!(
                "this host has {has} of these addresses: say which is its own, such as --this {first}, or write \
                 all files with --out DIR"
            )
        }
        ([], ..) => bail!("no host is named"),
    }
}

/// An address can be bound where it is.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn write(files: Vec<(PathBuf, String)>, force: bool) -> anyhow::Result<()> {
    let is_other = |(path, text): &&(PathBuf, String)| {
        let is_replaced = |old: String| old == *text || sets_nothing(&old);
        path.exists() && !fs::read_to_string(path).is_ok_and(is_replaced)
    };
    if let (Some((path, _)), false) = (files.iter().find(is_other), force) {
        bail!(
            "{} is there and is another: --force replaces it and keeps the old one beside it",
            path.display()
        );
    }
    for (path, text) in files {
        write_one(&path, &text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// As the file that a package brings: nobody's settings are lost with it.
fn sets_nothing(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.is_empty())
}

fn write_one(path: &Path, text: &str) -> io::Result<()> {
    match fs::read(path) {
        Ok(old) if old == text.as_bytes() => {
            super::print(&format!("{} is so already\n", path.display()))?;
            return Ok(());
        }
        Ok(old) => {
            let kept = keep(path, &old)?;
            super::print(&format!("{}: the old one is {}\n", path.display(), kept.display()))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        }
        Err(error) => return Err(error),
    }
    // In place, so that the service may still read what it may read now.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    super::print(&format!("wrote {}\n", path.display()))?;
    Ok(())
}

/// Writes `old` beside `path`, under a name that was free.
fn keep(path: &Path, old: &[u8]) -> io::Result<PathBuf> {
    let permissions = fs::metadata(path)?.permissions();
    for number in 1_u32.. {
        let kept = path.with_extension(format!("toml.old{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(mut file) => {
                file.set_permissions(permissions)?;
                file.write_all(old)?;
                file.sync_all()?;
                return Ok(kept);
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: InitArgs,
    }

    fn init(rest: &[&str]) -> Result<(), String> {
        let head = ["x", "--hosts", "192.0.2.1,192.0.2.2"];
        let cli =
            Cli::try_parse_from(head.iter().chain(rest)).map_err(|error| error.to_string())?;
        run(&cli.arguments).map(|_| ()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_that_sets_nothing_is_replaced_and_one_that_cannot_be_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let this = ["--this", "192.0.2.1", "--out", dir.path().to_str().unwrap()];
        fs::write(&file, "# cluster = \"C\"\n\n").unwrap();
        init(&this).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("192.0.2.2"));
        for text in ["cluster = \"C\"\n", "cluster"] {
            fs::write(&file, text).unwrap();
            init(&this).unwrap_err();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_for_each_host_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().to_str().unwrap();
        let [first, second] =
            ["192.0.2.1", "192.0.2.2"].map(|host| dir.path().join(host).join(FILE));
        init(&["--out", out]).unwrap();
        let made = fs::read_to_string(&first).unwrap();
        assert!(made.contains("advertise    = \"192.0.2.1\""), "{made}");
        init(&["--out", out]).unwrap();
        fs::write(&second, "mine").unwrap();
        fs::remove_file(&first).unwrap();
        let refused = init(&["--out", out]).unwrap_err();
        assert_eq!(
            refused,
            format!(
                "{} is there and is another: --force replaces it and keeps the old one beside it",
                second.display()
            )
        );
        assert!(!first.exists(), "nothing is written if one is in the way");
        init(&["--out", out, "--force"]).unwrap();
        assert_eq!(fs::read_to_string(second.with_extension("toml.old1")).unwrap(), "mine");
        fs::write(&second, "mine too").unwrap();
        init(&["--out", out, "--force"]).unwrap();
        assert_eq!(fs::read_to_string(second.with_extension("toml.old1")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(second.with_extension("toml.old2")).unwrap(), "mine too");
        assert_eq!(fs::read_to_string(first).unwrap(), made);
    }

    #[test]
    fn what_replaces_a_file_and_what_keeps_it_have_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        fs::write(&file, "mine").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let out = dir.path().to_str().unwrap();
        init(&["--this", "192.0.2.2", "--out", out, "--force"]).unwrap();
        for file in [&file, &file.with_extension("toml.old1")] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o640);
        }
        assert!(fs::read_to_string(file).unwrap().contains("advertise    = \"192.0.2.2\""));
    }

    #[test]
    fn a_host_that_is_not_known_is_asked_for() {
        let hosts: Vec<IpAddr> =
            ["127.0.0.1", "10.0.0.1", "127.0.0.2"].map(|host| host.parse().unwrap()).to_vec();
        let found = |hosts: &[IpAddr], named| {
            this_host(hosts, named, |host| host.is_loopback()).map_err(|error| error.to_string())
        };
        assert_eq!(found(&hosts[..2], None), Ok(hosts[0]));
        assert_eq!(found(&hosts, Some(hosts[1])), Ok(hosts[1]));
        assert_eq!(found(&hosts[1..2], None), Ok(hosts[1]), "there is only one");
        let rest = "of these addresses: say which is its own, such as --this 127.0.0.1, or write all files with --out DIR";
        assert_eq!(found(&hosts, None), Err(format!("this host has several {rest}")));
        let rest = rest.replace("127.0.0.1", "10.0.0.1");
        assert_eq!(found(&[hosts[1]; 2], None), Err(format!("this host has none {rest}")));
        let other = "10.0.0.3".parse().unwrap();
        assert_eq!(
            found(&hosts, Some(other)),
            Err("--this 10.0.0.3 is none of the --hosts".to_owned())
        );
        assert!(is_own(hosts[0]));
    }

    #[test]
    fn wrong_usage_is_told() {
        assert!(init(&["--mode", "2m"]).unwrap_err().contains("2m-2s-sync"));
        assert!(init(&["--force"]).is_err(), "there is nothing to replace without --out");
    }
}
