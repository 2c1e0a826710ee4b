//! Versions of clients and brokers, which 4.9.4 numbers in one list.
//!
//! Not what a version can do. Invariant: each number has a name.

/// The name of a version by its ordinal (`MQVersion.getVersionDesc`), as `V4_9_4`.
#[must_use]
pub fn version_name(ordinal: i32) -> String {
    const EARLY: [&str; 16] = [
        "V3_0_0_SNAPSHOT",
        "V3_0_0_ALPHA1",
        "V3_0_0_BETA1",
        "V3_0_0_BETA2",
        "V3_0_0_BETA3",
        "V3_0_0_BETA4",
        "V3_0_0_BETA5",
        "V3_0_0_BETA6_SNAPSHOT",
        "V3_0_0_BETA6",
        "V3_0_0_BETA7_SNAPSHOT",
        "V3_0_0_BETA7",
        "V3_0_0_BETA8_SNAPSHOT",
        "V3_0_0_BETA8",
        "V3_0_0_BETA9_SNAPSHOT",
        "V3_0_0_BETA9",
        "V3_0_0_FINAL",
    ];
    let ordinal = usize::try_from(ordinal).unwrap_or(0);
    if let Some(name) = EARLY.get(ordinal) {
        return (*name).to_owned();
    }
    // Then two of each: 3.0.1 to 3.0.15, 3.1.0 to 5.9.9, but that 3.3 to 3.9 begin with .1.
    let patches = (1..=15).map(|patch| (3, 0, patch));
    let minors = (3..=5).flat_map(|major| (0..=9).map(move |minor| (major, minor)));
    let others = minors.filter(|minor| *minor != (3, 0)).flat_map(|(major, minor)| {
        let first = i32::from(major == 3 && minor >= 3);
        (first..=9).map(move |patch| (major, minor, patch))
    });
    let behind = ordinal - EARLY.len();
    let Some((major, minor, patch)) = patches.chain(others).nth(behind / 2) else {
        return "HIGHER_VERSION".to_owned();
    };
    let snapshot = if behind.is_multiple_of(2) { "_SNAPSHOT" } else { "" };
    format!("V{major}_{minor}_{patch}{snapshot}")
}

/// The same as people write it, as `4.9.4`.
#[must_use]
pub fn version_text(ordinal: i32) -> String {
    version_name(ordinal).trim_start_matches('V').replace('_', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_names_of_their_ordinals() {
        let names = [-1, 14, 15, 16, 46, 86, 87, 401, 611, 612, 9999].map(version_name);
        assert_eq!(
            names,
            [
                "V3_0_0_SNAPSHOT",
                "V3_0_0_BETA9",
                "V3_0_0_FINAL",
                "V3_0_1_SNAPSHOT",
                "V3_1_0_SNAPSHOT",
                "V3_3_1_SNAPSHOT",
                "V3_3_1",
                "V4_9_4",
                "V5_9_9",
                "HIGHER_VERSION",
                "HIGHER_VERSION",
            ]
        );
    }

    #[test]
    fn people_write_them_with_dots() {
        assert_eq!(version_text(401), "4.9.4");
    }
}
