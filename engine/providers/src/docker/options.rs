//! What people can ask of one machine: `memory-mb`, `cpus`, `image`.

use std::collections::BTreeMap;

use rebar_ports::ProviderError;

/// The least memory that systemd and an agent live in.
const LEAST_MEMORY_MB: i64 = 64;
/// More than any machine has; keeps the sums below from overflowing.
const MOST_MEMORY_MB: i64 = 64 * 1024 * 1024;
/// More processors than any machine has.
const MOST_CPUS: f64 = 4096.0;

/// The options of one machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Options {
    /// A limit on memory, in bytes.
    pub(super) memory: Option<i64>,
    /// A limit on processors, in billionths of one.
    pub(super) nano_cpus: Option<i64>,
    /// Another image than the provider's own; it must be there.
    pub(super) image: Option<String>,
}

fn bad<T>(option: &str, detail: impl Into<String>) -> Result<T, ProviderError> {
    Err(ProviderError::BadOption { option: option.to_owned(), detail: detail.into() })
}

impl Options {
    /// Reads the options as people give them.
    pub(super) fn parse(given: &BTreeMap<String, String>) -> Result<Self, ProviderError> {
        let mut options = Self::default();
        for (option, value) in given {
            match option.as_str() {
                "memory-mb" => options.memory = Some(memory(value)?),
                "cpus" => options.nano_cpus = Some(cpus(value)?),
                "image" if !value.is_empty() => options.image = Some(value.clone()),
                "image" => return bad("image", "name an image that Docker Engine has"),
                other => return bad(other, "the docker provider knows memory-mb, cpus and image"),
            }
        }
        Ok(options)
    }
}

fn memory(value: &str) -> Result<i64, ProviderError> {
    match value.parse() {
        Ok(megabytes @ LEAST_MEMORY_MB..=MOST_MEMORY_MB) => Ok(megabytes * 1024 * 1024),
        _ => bad("memory-mb", format!("`{value}` is not a whole number of at least {LEAST_MEMORY_MB}")),
    }
}

fn cpus(value: &str) -> Result<i64, ProviderError> {
    match value.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, reason = "the bounds of the guard leave room")]
        Ok(cpus) if (0.01..=MOST_CPUS).contains(&cpus) => Ok((cpus * 1e9) as i64),
        _ => bad("cpus", format!("`{value}` is not a number of processors, such as 0.5 or 2")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Options, ProviderError> {
        Options::parse(&pairs.iter().map(|(option, value)| ((*option).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn sizes_have_bounds() {
        let takes = |option: &str, value: String| parse(&[(option, &value)]).is_ok();
        let (least, most) = (LEAST_MEMORY_MB, MOST_MEMORY_MB);
        assert!(takes("memory-mb", least.to_string()) && !takes("memory-mb", (least - 1).to_string()));
        assert!(takes("memory-mb", most.to_string()) && !takes("memory-mb", (most + 1).to_string()));
        assert!(takes("cpus", MOST_CPUS.to_string()) && !takes("cpus", (MOST_CPUS + 1.0).to_string()));
    }

    #[test]
    fn options_are_read_or_refused_by_name() {
        assert_eq!(parse(&[]).unwrap(), Options::default());
        let options = parse(&[("memory-mb", "512"), ("cpus", "1.5"), ("image", "mine:1")]).unwrap();
        let expected =
            Options { memory: Some(512 << 20), nano_cpus: Some(1_500_000_000), image: Some("mine:1".into()) };
        assert_eq!(options, expected);
        for (option, value) in [
            ("memory-mb", "1"),
            ("memory-mb", "x"),
            ("cpus", "0"),
            ("cpus", "NaN"),
            ("cpus", "-1"),
            ("image", ""),
            ("size", "1"),
        ] {
            let error = parse(&[(option, value)]).unwrap_err();
            assert!(matches!(&error, ProviderError::BadOption { option: named, .. } if named == option), "{error}");
        }
    }
}
