//! What must not be lost: the option that names protected roles, and the refusal before anything is asked of the engine. It would
//! refuse the same.

use rebar_api::types::WipeRequest;
use rebar_model::RoleName;

use crate::{exit::Exit, failure::Failure};

/// The protected roles that may be taken away.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Allowed {
    /// Let something of a protected role be taken away, with what it keeps; several with commas between
    #[arg(long = "allow-protected", value_name = "ROLE", value_delimiter = ',')]
    pub allow_protected: Vec<RoleName>,
}

impl From<Allowed> for WipeRequest {
    fn from(allowed: Allowed) -> Self {
        Self { allow_protected: allowed.allow_protected }
    }
}

impl Allowed {
    /// The roles as one text, as a query has them; none if none is named.
    pub fn listed(&self) -> Option<String> {
        let names: Vec<&str> = self.allow_protected.iter().map(RoleName::as_str).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// Refuses to go on while a protected role is not named; `command` is what to say to name it.
    pub fn refuse(&self, protected: &[RoleName], command: &str) -> Result<(), Failure> {
        let missing: Vec<&str> =
            protected.iter().filter(|it| !self.allow_protected.contains(it)).map(RoleName::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("these roles are protected, and what they keep would be lost: {}", missing.join(", "));
        let fix = format!("{command} --allow-protected {}", missing.join(","));
        Err(Failure { code: Some("RB2012".to_owned()), ..Failure::plain(Exit::Denied, message) }.fix(fix))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        allowed: Allowed,
    }

    #[test]
    fn roles_are_named_one_by_one_or_together() {
        let words = ["rebar", "--allow-protected", "etcd,registry", "--allow-protected", "store"];
        assert_eq!(Line::parse_from(words).allowed.listed().as_deref(), Some("etcd,registry,store"));
        assert_eq!(Line::parse_from(["rebar"]).allowed.listed(), None);
        assert!(Line::try_parse_from(["rebar", "--allow-protected", "Etcd"]).is_err());
    }

    #[test]
    fn what_is_not_named_is_refused() {
        let roles: Vec<RoleName> = ["etcd", "registry"].map(|it| it.parse().unwrap()).to_vec();
        let allowed = |roles: &[RoleName]| Allowed { allow_protected: roles.to_vec() };
        assert!(allowed(&roles).refuse(&roles, "rebar redeploy demo").is_ok());
        assert!(allowed(&[]).refuse(&[], "rebar redeploy demo").is_ok());
        let failure = allowed(&roles[..1]).refuse(&roles, "rebar redeploy demo").unwrap_err();
        assert_eq!((failure.exit, failure.code.as_deref()), (Exit::Denied, Some("RB2012")));
        let text = failure.to_string();
        assert!(text.contains("registry") && !text.contains("etcd"), "{text}");
    }
}
