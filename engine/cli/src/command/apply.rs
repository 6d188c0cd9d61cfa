//! `rebar apply`: plan, show, ask, apply, follow until nothing runs any more.

use rebar_api::types::{ApplyRequest, PlanView, TowardsRequest};
use rebar_model::{DeploymentName, Digest, RoleName};

use super::{protected::Allowed, towards::Towards};
use crate::{
    app::App,
    client::Client,
    exit::Exit,
    failure::{Failure, Trouble},
    live::{self, Follow, Until},
    screen,
};

/// What to apply.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar apply demo                        plan, show, ask, apply, follow\n  rebar apply demo --plan 3fa94b1c77d0    that plan and no other; 6 if the world moved\n  rebar apply demo --yes --no-follow      for scripts, with `rebar wait demo` later\n  rebar apply demo --upgrade docker-swarm@1.1.0    what is wished for and what is so change together"
)]
pub struct Args {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// Accept this plan and no other: the id that `rebar plan` showed
    #[arg(long, value_name = "ID")]
    pub plan: Option<String>,
    /// Accept the plan without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Let a role that wipes data run
    #[arg(long = "grant", value_name = "ROLE")]
    pub grants: Vec<RoleName>,
    /// The protected roles that may be taken away
    #[command(flatten)]
    pub allowed: Allowed,
    /// Do not follow; `rebar watch` does that later
    #[arg(long)]
    pub no_follow: bool,
    /// Towards what
    #[command(flatten)]
    pub towards: Towards,
}

/// Applies a plan.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let towards = args.towards.request(client, &args.name).await?;
    let id = match &args.plan {
        Some(given) => given_plan(client, &args, given, towards.as_ref()).await?,
        None => match accepted_plan(app, client, &args, towards.as_ref()).await? {
            Some(id) => id,
            None => return Ok(Exit::Done),
        },
    };
    let (grants, allow_protected) = (args.grants, args.allowed.allow_protected);
    let request = ApplyRequest { plan: id, grants, allow_protected, towards };
    let accepted = client.apply(&args.name, &request).await?;
    app.output.say(&format!("revision {} of {} is accepted", accepted.revision, accepted.deployment));
    if args.no_follow {
        app.output.data(
            &accepted,
            || vec![args.name.to_string()],
            |_| format!("follow it: rebar watch {}\n", args.name),
        )?;
        return Ok(Exit::Done);
    }
    follow(app, client, args.name).await
}

/// Follows a deployment until nothing runs any more, and says how it ended.
pub async fn follow(app: &App, client: &Client, name: DeploymentName) -> Result<Exit, Failure> {
    let follow = Follow { name, until: Until::Settled, as_data: false };
    let ended = live::follow(app, client, &follow).await?;
    live::conclude(app, client, &follow.name, &ended).await
}

/// The plan that a person named, by all or the first digits of its id.
async fn given_plan(
    client: &Client,
    args: &Args,
    given: &str,
    towards: Option<&TowardsRequest>,
) -> Result<Digest, Failure> {
    const FEWEST: usize = 8;
    let (name, flags) = (&args.name, args.towards.words());
    if let Ok(id) = given.parse() {
        // The engine says whether it is stale.
        return Ok(id);
    }
    if given.len() < FEWEST || !given.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err(Failure::new(Trouble::Argument, format!("`{given}` is not the id of a plan"))
            .fix(format!("rebar plan {name}{flags} shows it")));
    }
    // Equal plans have equal ids: what would be made now is the one that was shown, or it is stale.
    let plan = client.plan(name, towards).await?;
    if plan.id.to_string().starts_with(&given.to_ascii_lowercase()) {
        return Ok(plan.id);
    }
    let message = format!(
        "plan {given} is stale: `{name}` stands at revision {}, and the same wishes give plan {} now",
        plan.base,
        screen::plan::short_id(&plan)
    );
    Err(Failure { code: Some("RB2005".to_owned()), ..Failure::plain(Exit::Conflict, message) }
        .fix(format!("rebar plan {name}{flags}")))
}

/// A fresh plan that a person accepted; none if there is nothing to do.
async fn accepted_plan(
    app: &App,
    client: &Client,
    args: &Args,
    towards: Option<&TowardsRequest>,
) -> Result<Option<Digest>, Failure> {
    let plan = client.plan(&args.name, towards).await?;
    let flags = args.towards.words();
    let text = screen::plan::render(&plan, &flags, &app.output.talk_look);
    if !plan.changes && !plan.rewishes {
        if app.output.is_for_people() {
            app.output.say(&text);
        } else {
            app.output.data(&client.status(&args.name).await?, || vec![args.name.to_string()], |_| String::new())?;
        }
        return Ok(None);
    }
    app.output.say(&text);
    refuse_ungranted(&plan, &args.grants, &flags)?;
    args.allowed.refuse(&plan.protected, &format!("rebar apply {}{flags}", plan.deployment))?;
    if !args.yes {
        app.confirm("Apply?")?;
    }
    Ok(Some(plan.id))
}

/// Says at once what the engine would say after the question.
fn refuse_ungranted(plan: &PlanView, grants: &[RoleName], words: &str) -> Result<(), Failure> {
    let missing: Vec<&str> = plan.destructive.iter().filter(|it| !grants.contains(it)).map(RoleName::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let flags: Vec<String> = missing.iter().map(|it| format!("--grant {it}")).collect();
    let message = format!("these roles wipe data and were not granted: {}", missing.join(", "));
    let fix = format!("rebar apply {}{words} {}", plan.deployment, flags.join(" "));
    Err(Failure { code: Some("RB2006".to_owned()), ..Failure::plain(Exit::Denied, message) }.fix(fix))
}
