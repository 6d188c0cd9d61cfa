//! Wishes that a plan is made towards in place of those of now: what `rebar plan` and `rebar apply` take of them, and what a person
//! has to say to name the same ones again.

use rebar_api::types::TowardsRequest;
use rebar_model::{DeploymentName, RevisionNo};

use super::set;
use crate::{client::Client, failure::Failure};

/// Wishes that a plan is made towards.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Towards {
    /// Towards another workload version; nothing is changed before it is applied
    #[arg(long, value_name = "WORKLOAD")]
    pub upgrade: Option<String>,
    /// Towards another value of a parameter of the deployment
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub values: Vec<set::Pair>,
    /// Towards all that was wished for at an earlier revision
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
}

impl Towards {
    /// What the engine is asked; none for what is wished for now.
    pub async fn request(&self, client: &Client, name: &DeploymentName) -> Result<Option<TowardsRequest>, Failure> {
        let Self { upgrade, values, revision } = self;
        if upgrade.is_none() && values.is_empty() && revision.is_none() {
            return Ok(None);
        }
        let revision = revision.map(RevisionNo);
        let mut request = TowardsRequest { revision, workload: upgrade.clone(), ..TowardsRequest::default() };
        if !values.is_empty() {
            let reference = match (upgrade, revision) {
                (Some(reference), _) => reference.clone(),
                (None, Some(no)) => client.revision(name, no).await?.spec.workload.to_string(),
                (None, None) => client.deployment(name).await?.spec.workload.to_string(),
            };
            let workload = client.workload(&reference).await?.workload;
            let typed = set::typed(&workload, values, &[])?;
            request.parameters = typed.into_iter().map(|(name, value)| (name, Some(value))).collect();
        }
        Ok(Some(request))
    }

    /// The flags, as a person writes them, each with a blank before it.
    pub fn words(&self) -> String {
        let revision = self.revision.map(|no| ("--revision", no.to_string()));
        let upgrade = self.upgrade.as_ref().map(|it| ("--upgrade", it.clone()));
        let values = self.values.iter().map(|it| ("--set", format!("{}={}", it.name, it.text)));
        let all = revision.into_iter().chain(upgrade).chain(values);
        all.flat_map(|(flag, value)| [" ".to_owned(), flag.to_owned(), " ".to_owned(), shell(&value)]).collect()
    }
}

/// A word as a shell takes it.
fn shell(word: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "@%+=:,./_-".contains(it);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        towards: Towards,
    }

    #[test]
    fn what_was_said_can_be_said_again() {
        let said = ["--revision", "3", "--upgrade", "web@2.0.0", "--set", "greeting=it's me", "--set", "size=3"];
        let words = Line::try_parse_from(["rebar"].iter().chain(&said)).unwrap().towards.words();
        assert_eq!(words, r" --revision 3 --upgrade web@2.0.0 --set 'greeting=it'\''s me' --set size=3");
        assert_eq!(Towards::default().words(), "");
    }
}
