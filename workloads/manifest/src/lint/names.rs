//! Names and versions: a role is called as its directory, a version is a version.

use rebar_model::WorkloadName;

use super::Context;
use crate::{Code, Diagnostic, yaml::Content};

/// The version of Rebar that the linter belongs to.
const REBAR: &str = env!("CARGO_PKG_VERSION");

pub(super) fn check(context: &mut Context<'_>) {
    directories(context);
    versions(context);
}

/// The directory and the name in the document agree, so that a name leads to its file.
fn directories(context: &mut Context<'_>) {
    for (directory, loaded) in &context.draft.roles {
        let path = ["metadata", "name"];
        let Some(Content::Scalar { text, .. }) = loaded.document.node(&path).map(|it| &it.content) else { continue };
        if text != directory && WorkloadName::new(text).is_ok() {
            let message = format!("the role is called `{text}` and lies in roles/{directory}");
            let help = format!("write `name: {directory}`, or rename the directory to roles/{text}");
            context.push(Diagnostic::error(Code::WrongName, loaded.document.place(&path), message).help(help));
        }
    }
}

/// The version is a semantic version; `engine` is a requirement on one.
fn versions(context: &mut Context<'_>) {
    let Some(document) = context.draft.workload.as_ref().map(|it| &it.document) else { return };
    let place = document.place(&["spec", "engine"]);
    let Some(Content::Scalar { text, .. }) = document.node(&["spec", "engine"]).map(|it| &it.content) else { return };
    match semver::VersionReq::parse(text) {
        Err(error) => {
            let message = format!("`{text}` is not a requirement on versions: {error}");
            context.push(Diagnostic::error(Code::NotAVersion, place, message).help("write something like `>=0.3, <2`"));
        }
        Ok(requirement) if !semver::Version::parse(REBAR).is_ok_and(|it| requirement.matches(&it)) => {
            let message = format!("the workload is made for versions `{text}` of Rebar, and this is {REBAR}");
            let help =
                "see that it works all the same, and widen the requirement; or take another version of one of them";
            context.push(Diagnostic::warning(Code::OtherEngine, place, message).help(help));
        }
        Ok(_) => {}
    }
}
