//! The hosts of a cluster as a picture: a column for each host, a row for each group, and arrows along which logs are
//! copied.
//!
//! Pure: places and words, no markup. Invariant: every broker of the listing is in it, once.

use std::collections::BTreeMap;

use super::format;
use crate::proto::v1::Broker;

const BOX_WIDTH: usize = 240;
const BOX_HEIGHT: usize = 78;
const COLUMN_GAP: usize = 150;
const ROW_GAP: usize = 34;
const TOP: usize = 40;
const MARGIN: usize = 8;

/// A host's column.
pub struct Host {
    /// Its address.
    pub name: String,
    /// Left edge.
    pub x: usize,
}

/// A broker's box.
pub struct Role {
    /// Its left edge.
    pub x: usize,
    /// Its upper edge.
    pub y: usize,
    /// Its group.
    pub group: String,
    /// Whether it is the master.
    pub is_master: bool,
    /// Its port or address.
    pub at: String,
    /// How it is, in the words of the facade.
    pub state: String,
    /// Whether producers are kept away from it.
    pub is_closed: bool,
    /// `good`, `warn` or `bad`.
    pub health: &'static str,
    /// Messages in and out a second, if it tells.
    pub rates: Option<(String, String)>,
}

/// The way of a log to a slave.
pub struct Arrow {
    /// Where it begins.
    pub from: (usize, usize),
    /// Where it ends.
    pub to: (usize, usize),
    /// The middle, for the words.
    pub middle: (usize, usize),
    /// How far the slave is behind; empty if it is not, or does not tell.
    pub behind: String,
    /// As of the slave.
    pub health: &'static str,
}

/// The picture.
#[derive(Default)]
pub struct Drawing {
    /// Left to right.
    pub hosts: Vec<Host>,
    /// All brokers that are somewhere.
    pub roles: Vec<Role>,
    /// From masters to slaves.
    pub arrows: Vec<Arrow>,
    /// Size of all.
    pub width: usize,
    /// Size of all.
    pub height: usize,
}

/// `good`, `warn` or `bad`; one that serves, and of which something is wrong all the same, is not well.
pub fn health(broker: &Broker) -> &'static str {
    match broker.state.as_str() {
        "serving" | "in sync" if broker.warnings.is_empty() => "good",
        "does not answer" | "not registered" | "conflict" => "bad",
        _ => "warn",
    }
}

/// Whether producers are kept away from a master.
pub fn is_closed(broker: &Broker) -> bool {
    let is_read_only = broker.permission.as_deref().is_some_and(|may| !may.contains('w'));
    broker.id == 0 && (is_read_only || !broker.kept_away_by.is_empty())
}

/// The address of a broker of which it is not known.
const NOWHERE: &str = "?";

/// Where it is, or was.
fn address(broker: &Broker) -> Option<&String> {
    broker.address.as_ref().or(broker.last_address.as_ref())
}

fn host(broker: &Broker) -> &str {
    let address = address(broker).map_or(NOWHERE, String::as_str);
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// How far it is behind, in bytes and in seconds.
pub fn behind(broker: &Broker) -> String {
    let bytes = broker.behind_bytes.filter(|bytes| *bytes > 0).map(format::bytes);
    let seconds = broker.behind_s.filter(|s| *s > 0).map(|s| format!("{s} s"));
    bytes.into_iter().chain(seconds).collect::<Vec<_>>().join(", ")
}

impl Drawing {
    /// The picture of these brokers.
    pub fn of(brokers: &[Broker]) -> Self {
        let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
        let mut rows: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for broker in brokers {
            columns.insert(host(broker), 0);
            rows.insert((&broker.cluster, &broker.group), 0);
        }
        (0..).zip(columns.values_mut()).for_each(|(at, column)| *column = at);
        (0..).zip(rows.values_mut()).for_each(|(at, row)| *row = at);
        let x = |column: usize| MARGIN + column * (BOX_WIDTH + COLUMN_GAP);
        let y = |row: usize| TOP + row * (BOX_HEIGHT + ROW_GAP);
        let place = |broker: &Broker| {
            (x(columns[host(broker)]), y(rows[&(broker.cluster.as_str(), broker.group.as_str())]))
        };
        let mut drawing = Self {
            hosts: columns
                .iter()
                .map(|(name, at)| Host { name: (*name).to_owned(), x: x(*at) })
                .collect(),
            width: (x(columns.len()) + MARGIN).saturating_sub(COLUMN_GAP),
            height: (y(rows.len()) + MARGIN).saturating_sub(ROW_GAP),
            ..Self::default()
        };
        for broker in brokers {
            let (x, y) = place(broker);
            let master = brokers.iter().find(|one| {
                one.id == 0
                    && broker.id != 0
                    && one.cluster == broker.cluster
                    && one.group == broker.group
            });
            if let Some(master) = master {
                drawing.arrows.push(arrow(place(master), (x, y), broker));
            }
            let port = address(broker).and_then(|address| address.rsplit_once(':'));
            drawing.roles.push(Role {
                x,
                y,
                group: broker.group.clone(),
                is_master: broker.id == 0,
                at: port.map_or_else(String::new, |(_, port)| format!(":{port}")),
                state: broker.state.clone(),
                is_closed: is_closed(broker),
                health: health(broker),
                rates: broker
                    .in_per_s
                    .zip(broker.out_per_s)
                    .map(|(into, out)| (format::rate(into), format::rate(out))),
            });
        }
        drawing
    }
}

/// Between the near sides of two boxes of one row.
fn arrow(master: (usize, usize), slave: (usize, usize), broker: &Broker) -> Arrow {
    let middle = |y: usize| y + BOX_HEIGHT / 2;
    let (from_x, to_x) = if master.0 <= slave.0 {
        (master.0 + BOX_WIDTH, slave.0)
    } else {
        (master.0, slave.0 + BOX_WIDTH)
    };
    Arrow {
        from: (from_x, middle(master.1)),
        to: (to_x, middle(slave.1)),
        middle: (usize::midpoint(from_x, to_x), middle(slave.1) - 8),
        behind: behind(broker),
        health: health(broker),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(group: &str, id: i64, address: &str, state: &str) -> Broker {
        Broker {
            cluster: "C".to_owned(),
            group: group.to_owned(),
            id,
            address: Some(address.to_owned()).filter(|address| !address.is_empty()),
            state: state.to_owned(),
            ..Broker::default()
        }
    }

    #[test]
    fn a_pair_is_two_columns_with_an_arrow_each_way() {
        let behind = Broker {
            behind_bytes: Some(2048),
            behind_s: Some(3),
            ..broker("broker-b", 1, "10.0.0.1:10921", "behind")
        };
        let drawing = Drawing::of(&[
            broker("broker-a", 0, "10.0.0.1:10911", "serving"),
            broker("broker-a", 1, "10.0.0.2:10921", "in sync"),
            broker("broker-b", 0, "10.0.0.2:10911", "serving"),
            behind,
        ]);
        let hosts: Vec<_> = drawing.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(hosts, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(drawing.roles.len(), 4);
        let [right, left] = &drawing.arrows[..] else { panic!("two arrows") };
        assert!(right.from.0 < right.to.0 && right.from.1 == right.to.1 && right.health == "good");
        assert!(left.from.0 > left.to.0 && left.behind == "2.0 KiB, 3 s" && left.health == "warn");
        assert!(drawing.roles.iter().all(
            |role| role.x + BOX_WIDTH <= drawing.width && role.y + BOX_HEIGHT <= drawing.height
        ));
    }

    #[test]
    fn a_master_that_producers_are_kept_away_from_does_not_look_well() {
        let open = broker("broker-a", 0, "10.0.0.1:10911", "serving");
        assert_eq!((health(&open), is_closed(&open)), ("good", false));
        let warnings = vec!["it is read-only: nothing can be sent to it".to_owned()];
        let drained = Broker { permission: Some("r".to_owned()), warnings, ..open };
        assert_eq!((health(&drained), is_closed(&drained)), ("warn", true));
        assert!(Drawing::of(&[drained]).roles[0].is_closed);
    }

    #[test]
    fn a_master_that_is_gone_is_drawn_too() {
        let drawing = Drawing::of(&[
            broker("broker-a", 0, "", "not registered"),
            broker("broker-a", 1, "10.0.0.2:10921", "connecting"),
        ]);
        assert_eq!(drawing.roles[0].health, "bad");
        assert_eq!((drawing.hosts.len(), drawing.arrows.len()), (2, 1));
        // In its place, if that is known.
        let last_address = Some("10.0.0.1:10911".to_owned());
        let gone = Broker { last_address, ..broker("broker-a", 0, "", "not registered") };
        let drawing = Drawing::of(&[gone, broker("broker-b", 0, "10.0.0.1:10921", "serving")]);
        let hosts: Vec<_> = drawing.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!((hosts, drawing.roles[0].at.as_str()), (vec!["10.0.0.1"], ":10911"));
        assert_eq!(Drawing::of(&[]).roles.len(), 0);
    }
}
