//! One `plain_acl.yml`: read with the line of each mistake, and written.
//!
//! Not where it lies (`files`), nor what it means together with others (`accounts`). Invariant: what [`render`] writes
//! is read here and by 4.9.4 as the same.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::account::{Account, Description, Mistake, Secret};
use super::white_list::Pattern;
use super::yaml::{self, Node, Value, YamlError};
use crate::model::DataVersion;

const WHITE_ADDRESSES: &str = "globalWhiteRemoteAddresses";
const ACCOUNTS: &str = "accounts";
const VERSION: &str = "dataVersion";

/// What a file says, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclFile {
    /// From where no signature is needed.
    pub white_addresses: Vec<String>,
    /// The accounts; one name may stand there twice, then the first counts.
    pub accounts: Vec<Description>,
    /// Its version.
    pub version: DataVersion,
}

/// A file that can be used.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// As it is written.
    pub file: AclFile,
    /// Its white list.
    pub white: Vec<Pattern>,
    /// Its accounts, in order.
    pub accounts: Vec<Arc<Account>>,
    /// Where each of them begins.
    pub lines: Vec<usize>,
    /// What is not wrong enough to refuse the file, with its lines.
    pub warnings: Vec<YamlError>,
}

/// Reads a file.
///
/// # Errors
/// The first thing in it that is wrong.
pub fn parse(text: &str) -> Result<Checked, YamlError> {
    let root = yaml::parse(text)?;
    let mut reader = Reader::default();
    reader.keys(&root, "the file", &[WHITE_ADDRESSES, ACCOUNTS, VERSION])?;
    let mut checked = Checked::default();
    for node in items(root.get(WHITE_ADDRESSES), WHITE_ADDRESSES)? {
        let text = text_of(node, WHITE_ADDRESSES)?.unwrap_or_default();
        let pattern = Pattern::parse(&text).map_err(|why| YamlError::new(node.line, why))?;
        checked.white.push(pattern);
        checked.file.white_addresses.push(text);
    }
    let mut names = HashSet::new();
    for node in items(root.get(ACCOUNTS), ACCOUNTS)? {
        let (description, account) = reader.account(node)?;
        if !names.insert(description.access_key.clone()) {
            let text =
                format!("accessKey {} stands above: this one is not used", account.access_key);
            reader.warnings.push(YamlError::new(node.line, text));
        }
        checked.file.accounts.push(description);
        checked.accounts.push(Arc::new(account));
        checked.lines.push(node.line);
    }
    if let Some(first) = items(root.get(VERSION), VERSION)?.first() {
        reader.keys(first, VERSION, &["counter", "timestamp"])?;
        let number = |key| number_of(first.get(key), key);
        checked.file.version =
            DataVersion { counter: number("counter")?, timestamp: number("timestamp")? };
    }
    checked.warnings = reader.warnings;
    Ok(checked)
}

/// What is read on the way through the tree.
#[derive(Default)]
struct Reader {
    warnings: Vec<YamlError>,
}

impl Reader {
    /// Checks that a node is a map, and warns of keys that 4.9.4 does not look at.
    fn keys(&mut self, node: &Node, what: &str, known: &[&str]) -> Result<(), YamlError> {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return Ok(()),
            _ => {
                let text = format!("{what} must be a map with {}", known.join(", "));
                return Err(YamlError::new(node.line, text));
            }
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            let text = format!("unknown key `{}`: known here are {}", key.name, known.join(", "));
            self.warnings.push(YamlError::new(key.line, text));
        }
        Ok(())
    }

    fn account(&mut self, node: &Node) -> Result<(Description, Account), YamlError> {
        self.keys(
            node,
            "an account",
            &[
                "accessKey",
                "secretKey",
                "whiteRemoteAddress",
                "admin",
                "defaultTopicPerm",
                "defaultGroupPerm",
                "topicPerms",
                "groupPerms",
            ],
        )?;
        let text = |key: &str| match node.get(key) {
            Some(value) => text_of(value, key),
            None => Ok(None),
        };
        let list = |key: &str| {
            let Some(value) = node.get(key).filter(|value| value.value != Value::Null) else {
                return Ok(None);
            };
            let texts = items(Some(value), key)?.iter();
            let texts = texts.map(|item| Ok(text_of(item, key)?.unwrap_or_default()));
            texts.collect::<Result<_, YamlError>>().map(Some)
        };
        let description = Description {
            access_key: text("accessKey")?.unwrap_or_default(),
            secret_key: Secret(text("secretKey")?.unwrap_or_default()),
            white_remote_address: text("whiteRemoteAddress")?,
            admin: bool_of(node.get("admin"), "admin")?,
            default_topic_perm: text("defaultTopicPerm")?,
            default_group_perm: text("defaultGroupPerm")?,
            topic_perms: list("topicPerms")?,
            group_perms: list("groupPerms")?,
        };
        let mut warn = |mistake: Mistake| self.warnings.push(at(node, mistake));
        let account = Account::new(&description, &mut warn);
        Ok((description, account.map_err(|mistake| at(node, mistake))?))
    }
}

/// A mistake at the line of its field, or of the account if that is missing.
fn at(account: &Node, mistake: Mistake) -> YamlError {
    let field = account.get(mistake.field);
    let item = field.zip(mistake.item).and_then(|(field, item)| field.item(item));
    YamlError::new(item.or(field).unwrap_or(account).line, mistake.text)
}

fn items<'a>(node: Option<&'a Node>, key: &str) -> Result<&'a [Node], YamlError> {
    let Some(node) = node else { return Ok(&[]) };
    match &node.value {
        Value::Null => Ok(&[]),
        Value::List(items) => Ok(items),
        _ => Err(YamlError::new(node.line, format!("`{key}` must be a list"))),
    }
}

fn text_of(node: &Node, key: &str) -> Result<Option<String>, YamlError> {
    match &node.value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(text.clone())),
        _ => Err(YamlError::new(node.line, format!("`{key}` must be a text"))),
    }
}

fn number_of(node: Option<&Node>, key: &str) -> Result<i64, YamlError> {
    let Some(node) = node else { return Ok(0) };
    let text = text_of(node, key)?.unwrap_or_else(|| "0".to_owned());
    let number = text.parse::<i64>();
    number.map_err(|_| YamlError::new(node.line, format!("`{key}` must be a whole number")))
}

/// True and false as YAML 1.1 writes them, which 4.9.4 reads.
fn bool_of(node: Option<&Node>, key: &str) -> Result<bool, YamlError> {
    let Some(node) = node else { return Ok(false) };
    let Some(text) = text_of(node, key)? else { return Ok(false) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err(YamlError::new(node.line, format!("`{key}` must be true or false"))),
    }
}

/// The access key and the secret of a file as 4.9.4's `conf/tools.yml`.
///
/// # Errors
/// It is none, or lacks one of them.
pub fn credentials(text: &str) -> Result<(String, Secret), YamlError> {
    let root = yaml::parse(text)?;
    let field = |key: &str| {
        let text = root.get(key).map(|node| text_of(node, key)).transpose()?.flatten();
        text.ok_or_else(|| YamlError::new(root.line, format!("`{key}` is missing")))
    };
    Ok((field("accessKey")?, Secret(field("secretKey")?)))
}

/// The text of a file, version and all.
#[must_use]
pub fn render(file: &AclFile) -> String {
    let mut text = String::from(
        "# Accounts that tools change (mqadmin updateAclConfig and others); rmq-node writes this file anew then.\n",
    );
    text.push_str(&render_content(file));
    let DataVersion { counter, timestamp } = file.version;
    let _ = write!(text, "{VERSION}:\n- counter: {counter}\n  timestamp: {timestamp}\n");
    text
}

/// The same without the version: two files with one content mean the same.
#[must_use]
pub fn render_content(file: &AclFile) -> String {
    let mut text = String::new();
    render_list(&mut text, WHITE_ADDRESSES, "", &file.white_addresses);
    if file.accounts.is_empty() {
        let _ = writeln!(text, "{ACCOUNTS}: []");
        return text;
    }
    let _ = writeln!(text, "{ACCOUNTS}:");
    for account in &file.accounts {
        let _ = writeln!(text, "- accessKey: {}", quoted(&account.access_key));
        let _ = writeln!(text, "  secretKey: {}", quoted(&account.secret_key.0));
        for (key, value) in [
            ("whiteRemoteAddress", &account.white_remote_address),
            ("defaultTopicPerm", &account.default_topic_perm),
            ("defaultGroupPerm", &account.default_group_perm),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "  {key}: {}", quoted(value));
            }
        }
        let _ = writeln!(text, "  admin: {}", account.admin);
        for (key, list) in
            [("topicPerms", &account.topic_perms), ("groupPerms", &account.group_perms)]
        {
            if let Some(list) = list {
                render_list(&mut text, key, "  ", list);
            }
        }
    }
    text
}

fn render_list(text: &mut String, key: &str, indent: &str, items: &[String]) {
    if items.is_empty() {
        let _ = writeln!(text, "{indent}{key}: []");
        return;
    }
    let _ = writeln!(text, "{indent}{key}:");
    for item in items {
        let _ = writeln!(text, "{indent}- {}", quoted(item));
    }
}

/// In double quotes, so that nothing in it means anything; what is not printable ASCII is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the distribution of 4.9.4 has it, with other secrets.
    const SAMPLE: &str = "\
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.*

accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
      - topicC=SUB
    groupPerms:
      # the group should convert to retry topic
      - groupA=DENY
      - groupB=PUB|SUB
      - groupC=SUB

  - accessKey: rocketmq2
    secretKey: 12345678
    whiteRemoteAddress: 192.168.1.*
    # if it is admin, it could access all resources
    admin: true
";

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_file_of_4_9_4_is_read_as_it_is_a003() {
        let checked = parse(SAMPLE).unwrap();
        assert_eq!(checked.warnings, []);
        assert_eq!(checked.file.white_addresses, ["10.10.103.*", "192.168.0.*"]);
        let [first, second] = &checked.file.accounts[..] else { panic!() };
        assert_eq!(
            (first.access_key.as_str(), first.secret_key.0.as_str()),
            ("RocketMQ", "12345678")
        );
        assert_eq!((first.white_remote_address.as_deref(), first.admin), (None, false));
        assert_eq!(first.topic_perms.as_ref().unwrap().len(), 3);
        assert_eq!((second.admin, second.topic_perms.as_deref()), (true, None));
        assert_eq!(checked.file.version, DataVersion::default());
        assert!(parse("").unwrap().accounts.is_empty());
        assert!(parse("accounts:\nglobalWhiteRemoteAddresses: []\n").unwrap().white.is_empty());
    }

    #[test]
    fn what_tools_of_4_9_4_write_is_read_too_a007() {
        let text = "accounts:\n- accessKey: RocketMQ\n  admin: false\n  secretKey: '12345678'\n  topicPerms: \
                    [A=PUB]\n  whiteRemoteAddress: null\ndataVersion:\n- {counter: 3, timestamp: \
                    1650000000000}\nglobalWhiteRemoteAddresses: null\n";
        let file = parse(text).unwrap().file;
        assert_eq!(file.version, DataVersion { counter: 3, timestamp: 1_650_000_000_000 });
        assert_eq!(file.accounts[0].topic_perms.as_deref(), Some(&["A=PUB".to_owned()][..]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let changed = |from: &str, to: &str| refused(&SAMPLE.replacen(from, to, 1));
        let keys = "The accessKey=RocketMQ and secretKey=*** cannot be null and length should longer than 6";
        assert_eq!(changed("12345678", "12345"), format!("7: {keys}"));
        let without = keys.replace("***", "null");
        assert_eq!(changed("    secretKey: 12345678\n", ""), format!("6: {without}"));
        assert_eq!(changed("192.168.0.*", "192.168.*.1").split(':').next(), Some("3"));
        assert_eq!(
            changed("topicB=", "topicB:"),
            "14: `topicB:PUB|SUB` is not of the form `name=PUB|SUB`"
        );
        assert_eq!(changed("192.168.1.*", "there"), "24: `there` is not an IP address");
        assert_eq!(changed("false", "maybe"), "9: `admin` must be true or false");
        assert_eq!(refused("accounts: all\n"), "1: `accounts` must be a list");
        assert_eq!(refused("accounts:\n- RocketMQ\n").split(':').next(), Some("2"));
        assert_eq!(refused("- a\n").split(" must").next(), Some("1: the file"));
        assert_eq!(refused("dataVersion:\n- counter: x\n"), "2: `counter` must be a whole number");
    }

    #[test]
    fn what_only_looks_wrong_is_a_warning() {
        let text = SAMPLE.replacen("RocketMQ", "rocketmq2", 1).replacen("=DENY", "=deny", 1);
        let text = text.replacen("admin", "adnim", 1);
        let warnings: Vec<_> = parse(&text).unwrap().warnings.iter().map(|one| one.line).collect();
        assert_eq!(warnings, [9, 13, 22]);
    }

    #[test]
    fn credentials_are_read_as_mqadmin_reads_them_a060() {
        let read = credentials("accessKey: rocketmq2\nsecretKey: 12345678\n").unwrap();
        assert_eq!(read, ("rocketmq2".to_owned(), Secret("12345678".to_owned())));
        let refused = |text: &str| credentials(text).unwrap_err().to_string();
        assert_eq!(refused("accessKey: rocketmq2\n"), "1: `secretKey` is missing");
        assert_eq!(refused("accessKey: [a]\nsecretKey: b\n"), "1: `accessKey` must be a text");
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[ -~]{0,12}", any::<String>()]
    }

    fn a_list(of: impl Strategy<Value = String>) -> impl Strategy<Value = Option<Vec<String>>> {
        proptest::option::of(proptest::collection::vec(of, 0..3))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            access_key in "[^\\x00-\\x06]{7,12}",
            secret in proptest::collection::vec(any::<char>(), 7..20),
            topic_perm in proptest::option::of(text()),
            topics in a_list("[^=]{1,8}=(PUB|SUB|DENY)"),
            admin: bool,
            counter: i64,
        ) {
            let account = Description {
                access_key,
                secret_key: Secret(secret.into_iter().collect()),
                white_remote_address: Some("10.1.2.*".into()),
                admin,
                default_topic_perm: topic_perm,
                topic_perms: topics,
                ..Description::default()
            };
            let file = AclFile {
                white_addresses: vec!["::1".into()],
                accounts: vec![account],
                version: DataVersion { counter, timestamp: 7 },
            };
            prop_assert_eq!(parse(&render(&file)).unwrap().file, file);
        }

        #[test]
        fn no_text_panics(text in text()) {
            let _ = parse(&text);
        }
    }
}
