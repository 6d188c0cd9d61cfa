//! Which engine a command talks to, and as whom: contexts in `~/.config/rebar/config.toml`, `REBAR_*`, flags. Deciding between
//! them is pure; reading and writing the file is at the end.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Trouble};

/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The file.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The context that holds where nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The engines that people logged in to.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// An engine that somebody logged in to. Deliberately without `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Where it listens.
    pub url: String,
    /// What the client shows to it.
    pub token: String,
    /// The certificate of its CA, in PEM.
    pub ca: String,
}

/// What the environment and the flags say. Deliberately without `Debug`.
#[derive(Clone, Default)]
pub struct Said {
    /// `--context`, else `REBAR_CONTEXT`.
    pub context: Option<String>,
    /// `REBAR_URL`.
    pub url: Option<String>,
    /// `REBAR_TOKEN`.
    pub token: Option<String>,
    /// The content of `REBAR_CA_FILE`.
    pub ca: Option<String>,
}

/// Which engine to talk to. Deliberately without `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The context that it comes from, for people.
    pub context: String,
    /// Where it listens.
    pub url: String,
    /// What to show to it.
    pub token: String,
    /// The certificate of its CA, in PEM.
    pub ca: String,
}

const LOGIN: &str = "rebar login https://HOST:8092 --token-file FILE --ca-file FILE";

/// Decides which engine is meant: flag over environment over file.
///
/// With `REBAR_URL` nothing of a context is used unless the context is for that very URL: a token goes to the engine that it
/// was given for, and to no other.
pub fn decide(config: &Config, said: &Said) -> Result<Target, Failure> {
    let name = said.context.clone().or_else(|| config.current.clone());
    let found = name.as_ref().and_then(|it| config.contexts.get(it));
    if let (Some(wanted), None, None) = (&said.context, found, &said.url) {
        let known: Vec<&str> = config.contexts.keys().map(String::as_str).collect();
        let known =
            if known.is_empty() { "there are none".to_owned() } else { format!("there is {}", known.join(", ")) };
        return Err(Failure::new(Trouble::NoContext, format!("there is no context `{wanted}`; {known}")).fix(LOGIN));
    }
    let usable = found.filter(|it| said.url.as_deref().is_none_or(|url| same_url(url, &it.url)));
    let pick = |said: &Option<String>, of: fn(&Context) -> &String| said.clone().or_else(|| usable.map(of).cloned());
    let missing = |what: &str, variable: &str| {
        Failure::new(Trouble::NoContext, format!("{what}: nobody logged in here, and {variable} is not set")).fix(LOGIN)
    };
    let context = if usable.is_some() { name.unwrap_or_default() } else { "environment".to_owned() };
    Ok(Target {
        url: pick(&said.url, |it| &it.url).ok_or_else(|| missing("which engine is not known", "REBAR_URL"))?,
        token: pick(&said.token, |it| &it.token).ok_or_else(|| missing("there is no token", "REBAR_TOKEN"))?,
        ca: pick(&said.ca, |it| &it.ca).ok_or_else(|| missing("there is no CA to trust", "REBAR_CA_FILE"))?,
        context,
    })
}

fn same_url(left: &str, right: &str) -> bool {
    left.trim_end_matches('/') == right.trim_end_matches('/')
}

impl Said {
    /// What the environment says, under a context that a flag may name.
    pub fn from_env(context: Option<&str>) -> Result<Self, Failure> {
        let get = |name: &str| env::var(name).ok().filter(|it| !it.is_empty());
        let ca = match get("REBAR_CA_FILE") {
            Some(path) => Some(fs::read_to_string(&path).map_err(|error| {
                Failure::new(Trouble::Config, format!("REBAR_CA_FILE: {path} cannot be read: {error}"))
            })?),
            None => None,
        };
        let context = context.map(str::to_owned).or_else(|| get("REBAR_CONTEXT"));
        Ok(Self { context, url: get("REBAR_URL"), token: get("REBAR_TOKEN").map(|it| it.trim().to_owned()), ca })
    }
}

/// The file of the client: `REBAR_CONFIG`, else `$XDG_CONFIG_HOME/rebar/config.toml`, else `~/.config/rebar/config.toml`.
pub fn path() -> Result<PathBuf, Failure> {
    if let Some(path) = env::var_os("REBAR_CONFIG").filter(|it| !it.is_empty()) {
        return Ok(path.into());
    }
    base("XDG_CONFIG_HOME", ".config").map(|it| it.join("config.toml"))
}

/// Where the client keeps what it did: `$XDG_STATE_HOME/rebar`, else `~/.local/state/rebar`.
pub fn state_dir() -> Result<PathBuf, Failure> {
    base("XDG_STATE_HOME", ".local/state")
}

fn base(variable: &str, under_home: &str) -> Result<PathBuf, Failure> {
    let set = env::var_os(variable).filter(|it| !it.is_empty()).map(PathBuf::from);
    let base = set.or_else(|| env::home_dir().filter(|it| !it.as_os_str().is_empty()).map(|it| it.join(under_home)));
    base.map(|it| it.join("rebar")).ok_or_else(|| {
        Failure::new(Trouble::Config, "there is no home directory to keep things in").fix("set HOME, or REBAR_CONFIG")
    })
}

/// Reads the file; one that is not there is empty.
pub fn load(path: &Path) -> Result<Config, Failure> {
    let trouble = |what: String| Failure::new(Trouble::Config, format!("{}: {what}", path.display()));
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(error) => return Err(trouble(error.to_string())),
        Ok(about) if about.len() > MAX_FILE => return Err(trouble(format!("larger than {MAX_FILE} bytes"))),
        Ok(about) if about.permissions().mode() & 0o077 != 0 => {
            return Err(trouble("others may read it, and it holds tokens".to_owned())
                .fix(format!("chmod 600 {}", path.display())));
        }
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(|error| trouble(error.to_string()))?;
    toml::from_str(&text).map_err(|error| trouble(error.message().to_owned()))
}

/// Writes the file, for its owner alone; what stood there stays until the new one is complete.
pub fn save(path: &Path, config: &Config) -> Result<(), Failure> {
    let trouble = |error: &dyn std::fmt::Display| Failure::new(Trouble::Config, format!("{}: {error}", path.display()));
    let text = toml::to_string_pretty(config).map_err(|error| trouble(&error))?;
    write_private(path, text.as_bytes()).map_err(|error| trouble(&error))
}

/// Writes a file that only its owner may read, at once.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &str) -> Context {
        Context { url: format!("https://{name}:8092"), token: format!("{name}-token"), ca: format!("{name}-ca") }
    }

    fn config() -> Config {
        let contexts = ["lab", "prod"].map(|it| (it.to_owned(), context(it)));
        Config { current: Some("lab".to_owned()), contexts: contexts.into() }
    }

    fn said(context: Option<&str>, url: Option<&str>, token: Option<&str>, ca: Option<&str>) -> Said {
        let own = |it: Option<&str>| it.map(str::to_owned);
        Said { context: own(context), url: own(url), token: own(token), ca: own(ca) }
    }

    fn check(said: Said, expected: Result<[&str; 4], &str>) {
        let got = decide(&config(), &said);
        match (got, expected) {
            (Ok(it), Ok(expected)) => {
                assert_eq!([it.context.as_str(), &it.url, &it.token, &it.ca], expected);
            }
            (Err(failure), Err(part)) => assert!(failure.message.contains(part), "{failure}"),
            (got, expected) => panic!("{:?} is not {expected:?}", got.map(|it| it.url)),
        }
    }

    #[test]
    fn a_configuration_is_as_large_as_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let read = |length: u64| {
            let text = format!("#{}\n", "x".repeat(usize::try_from(length).unwrap() - 2));
            write_private(&path, text.as_bytes()).unwrap();
            load(&path).is_ok()
        };
        assert!(read(MAX_FILE));
        assert!(!read(MAX_FILE + 1));
    }

    #[test]
    fn flags_come_before_the_environment_before_the_file() {
        check(said(None, None, None, None), Ok(["lab", "https://lab:8092", "lab-token", "lab-ca"]));
        check(said(Some("prod"), None, None, None), Ok(["prod", "https://prod:8092", "prod-token", "prod-ca"]));
        check(said(None, None, Some("mine"), None), Ok(["lab", "https://lab:8092", "mine", "lab-ca"]));
        check(said(Some("nowhere"), None, None, None), Err("there is lab, prod"));
    }

    #[test]
    fn a_token_goes_to_no_other_engine() {
        check(said(None, Some("https://evil:1"), None, Some("ca")), Err("there is no token"));
        check(said(None, Some("https://evil:1"), Some("t"), None), Err("there is no CA"));
        check(said(None, Some("https://x:1"), Some("t"), Some("c")), Ok(["environment", "https://x:1", "t", "c"]));
        check(
            said(None, Some("https://lab:8092/"), None, None),
            Ok(["lab", "https://lab:8092/", "lab-token", "lab-ca"]),
        );
    }

    #[test]
    fn the_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.toml");
        save(&path, &config()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(load(&path).unwrap() == config());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load(&path).err().unwrap().fix.unwrap().starts_with("chmod 600"));
    }
}
