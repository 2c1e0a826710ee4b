//! The language of `--script`: steps of a story, separated by `;`.
//!
//! Not what the steps do. Invariant: a script that was read makes sense: nothing is killed that is down
//! and nothing started that is up, as far as the script itself decides that.

use std::str::FromStr;
use std::time::Duration;

/// What is played if nobody says.
pub const DEFAULT: &str =
    "wait 3; kill 1; wait 5; start 1; wait 5; kill 2; wait 5; start 2; wait 3";

/// Nobody watches longer.
const WAIT_S_MAX: f64 = 86_400.0;

/// One step; hosts are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Lets time pass.
    Wait(Duration),
    /// Ends a host as a power cut of its processor would (`kill -9`).
    Kill(usize),
    /// Stops a host in order (SIGTERM), and waits until it has stopped.
    Stop(usize),
    /// Starts a host again, and waits until clients can use it.
    Start(usize),
}

/// Steps, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(pub Vec<Step>);

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut is_up = [true; 2];
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let step = |part| {
            let step = read(part)?;
            let (host, needs_up) = match step {
                Step::Wait(_) => return Ok(step),
                Step::Kill(host) | Step::Stop(host) => (host, true),
                Step::Start(host) => (host, false),
            };
            if is_up[host] != needs_up {
                let is = if needs_up { "down" } else { "up" };
                return Err(format!("\"{part}\": host {} is {is} by then", host + 1));
            }
            is_up[host] = !needs_up;
            Ok(step)
        };
        let steps = parts.map(step).collect::<Result<Vec<_>, String>>()?;
        if steps.is_empty() {
            return Err(format!("it has no step: write such as \"{DEFAULT}\""));
        }
        Ok(Self(steps))
    }
}

fn read(part: &str) -> Result<Step, String> {
    let mut words = part.split_whitespace();
    let (verb, object) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let host = || match object {
        "1" => Ok(0),
        "2" => Ok(1),
        _ => Err(format!("\"{part}\": write {verb} 1 or {verb} 2")),
    };
    let step = match verb {
        "wait" => {
            let seconds =
                object.parse().ok().filter(|seconds| (0.0..=WAIT_S_MAX).contains(seconds));
            let seconds =
                seconds.ok_or_else(|| format!("\"{part}\": write seconds, such as wait 2.5"))?;
            Step::Wait(Duration::from_secs_f64(seconds))
        }
        "kill" => Step::Kill(host()?),
        "stop" => Step::Stop(host()?),
        "start" => Step::Start(host()?),
        _ => {
            return Err(format!(
                "\"{part}\": steps are wait SECONDS, kill HOST, stop HOST, start HOST"
            ));
        }
    };
    match words.next() {
        Some(_) => Err(format!("\"{part}\": put ; between steps")),
        None => Ok(step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        let script: Script = " wait 0.5;kill 1 ; start 1;; stop 2;".parse().unwrap();
        let half = Duration::from_millis(500);
        let expected = [Step::Wait(half), Step::Kill(0), Step::Start(0), Step::Stop(1)];
        assert_eq!(script.0, expected);
        assert_eq!(DEFAULT.parse::<Script>().unwrap().0.len(), 9);
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        let refused = |text: &str| text.parse::<Script>().unwrap_err();
        assert_eq!(refused("kill 3"), "\"kill 3\": write kill 1 or kill 2");
        assert_eq!(refused("kill"), "\"kill\": write kill 1 or kill 2");
        assert_eq!(refused("wait"), "\"wait\": write seconds, such as wait 2.5");
        for seconds in ["-1", "NaN", "inf", "1e9"] {
            assert!(refused(&format!("wait {seconds}")).contains("such as wait 2.5"), "{seconds}");
        }
        assert_eq!(refused("wait 1 kill 1"), "\"wait 1 kill 1\": put ; between steps");
        let verbs = "\"halt 1\": steps are wait SECONDS, kill HOST, stop HOST, start HOST";
        assert_eq!(refused("wait 1; halt 1"), verbs);
        assert!(refused(" ; ").starts_with("it has no step: write such as \"wait 3; kill 1;"));
    }

    #[test]
    fn a_story_that_cannot_be_is_refused() {
        let refused = |text: &str| text.parse::<Script>().unwrap_err();
        assert_eq!(refused("start 1"), "\"start 1\": host 1 is up by then");
        assert_eq!(refused("kill 2; stop 2"), "\"stop 2\": host 2 is down by then");
        assert!("kill 1; kill 2; start 2; start 1; kill 1".parse::<Script>().is_ok());
    }
}
