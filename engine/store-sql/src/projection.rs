//! The projections: one row an entity, written with each commit and read once when an engine takes over, so that no history is
//! replayed. What a commit leaves is worked out in `batch.rs`; the questions about attempts are in `attempts.rs`.

use std::sync::Arc;

use rebar_model::{AttemptId, Change, Epoch, NodeRoleId, NodeRoleSpec, NodeRoleStatus, ParameterScope, Seq, World};
use rebar_ports::StoreError;
use serde::Serialize;

use crate::{
    batch::{Batch, NodeRoleSlot, Slots},
    bulk::Bulk,
    database::{Database, Row, Transaction, Value, int},
    json::{self, corrupt},
};

const NODE: Document = Document {
    what: "node",
    put: Bulk {
        before: "INSERT INTO node (name, body) VALUES",
        after: " ON CONFLICT (name) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM node WHERE name IN (VALUES", after: ")" },
    all: "SELECT body FROM node",
};
const WORKLOAD: Document = Document {
    what: "workload",
    put: Bulk {
        before: "INSERT INTO workload (digest, body) VALUES",
        after: " ON CONFLICT (digest) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM workload WHERE digest IN (VALUES", after: ")" },
    all: "SELECT body FROM workload",
};
const DEPLOYMENT: Document = Document {
    what: "deployment",
    put: Bulk {
        before: "INSERT INTO deployment (name, body) VALUES",
        after: " ON CONFLICT (name) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM deployment WHERE name IN (VALUES", after: ")" },
    all: "SELECT body FROM deployment",
};
const RESOURCE: Document = Document {
    what: "resource",
    put: Bulk {
        before: "INSERT INTO resource (id, body) VALUES",
        after: " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM resource WHERE id IN (VALUES", after: ")" },
    all: "SELECT body FROM resource",
};
const AGENT: Document = Document {
    what: "agent",
    put: Bulk {
        before: "INSERT INTO agent (node, body) VALUES",
        after: " ON CONFLICT (node) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM agent WHERE node IN (VALUES", after: ")" },
    all: "SELECT body FROM agent",
};
const AGENT_RELEASE: Document = Document {
    what: "release of the agent",
    put: Bulk {
        before: "INSERT INTO agent_release (version, body) VALUES",
        after: " ON CONFLICT (version) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM agent_release WHERE version IN (VALUES", after: ")" },
    all: "SELECT body FROM agent_release",
};
const ENROL_TOKEN: Document = Document {
    what: "enrolment token",
    put: Bulk {
        before: "INSERT INTO enrol_token (hash, body) VALUES",
        after: " ON CONFLICT (hash) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM enrol_token WHERE hash IN (VALUES", after: ")" },
    all: "SELECT body FROM enrol_token",
};
const API_TOKEN: Document = Document {
    what: "operator's token",
    put: Bulk {
        before: "INSERT INTO api_token (hash, body) VALUES",
        after: " ON CONFLICT (hash) DO UPDATE SET body = excluded.body",
    },
    remove: Bulk { before: "DELETE FROM api_token WHERE hash IN (VALUES", after: ")" },
    all: "SELECT body FROM api_token",
};

const AGENT_UPGRADE_PUT: Bulk<2> = Bulk {
    before: "INSERT INTO agent_upgrade (no, body) VALUES",
    after: " ON CONFLICT (no) DO UPDATE SET body = excluded.body",
};
/// The last one is the one that holds.
const AGENT_UPGRADE_LAST: &str = "SELECT body FROM agent_upgrade ORDER BY no DESC LIMIT 1";

const PARAMETER_CLEAR: Bulk<1> = Bulk { before: "DELETE FROM parameter WHERE scope IN (VALUES", after: ")" };
const PARAMETER_PUT: Bulk<3> = Bulk {
    before: "INSERT INTO parameter (scope, name, body) VALUES",
    after: " ON CONFLICT (scope, name) DO UPDATE SET body = excluded.body",
};
const PARAMETER_REMOVE: Bulk<2> = Bulk { before: "DELETE FROM parameter WHERE (scope, name) IN (VALUES", after: ")" };
const PARAMETER_ALL: &str = "SELECT scope, name, body FROM parameter";

const REVISION_SUPERSEDE: Bulk<1> =
    Bulk { before: "UPDATE revision SET latest = 0 WHERE latest = 1 AND deployment IN (VALUES", after: ")" };
const REVISION_ADD: Bulk<5> =
    Bulk { before: "INSERT INTO revision (seq, deployment, no, latest, body) VALUES", after: "" };
const REVISION_LATEST: &str = "SELECT body FROM revision WHERE latest = 1";

const NODE_ROLE_SPECIFY: Bulk<5> = Bulk {
    before: "INSERT INTO node_role (id, deployment, state, spec, status) VALUES",
    after: " ON CONFLICT (id) DO UPDATE SET spec = excluded.spec",
};
const NODE_ROLE_PUT: Bulk<5> = Bulk {
    before: "INSERT INTO node_role (id, deployment, state, spec, status) VALUES",
    after: " ON CONFLICT (id) DO UPDATE SET state = excluded.state, spec = excluded.spec, status = excluded.status",
};
const NODE_ROLE_MOVE: Bulk<3> = Bulk {
    before: "UPDATE node_role SET state = moved.column2, status = moved.column3 FROM (VALUES",
    after: ") AS moved WHERE node_role.id = moved.column1",
};
const NODE_ROLE_REMOVE: Bulk<1> = Bulk { before: "DELETE FROM node_role WHERE id IN (VALUES", after: ")" };
const NODE_ROLE_ALL: &str = "SELECT spec, status FROM node_role";

const ATTEMPT_PUT: Bulk<5> = Bulk {
    before: "INSERT INTO attempt (id, node_role, deployment, ended, body) VALUES",
    after: " ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, body = excluded.body",
};
const ATTEMPT_UNDER_WAY: &str = "SELECT body FROM attempt WHERE ended = 0";

/// A commit without an epoch or a new attempt leaves those as they are; attempts are numbered upwards.
const META_WRITE: &str = "UPDATE meta SET applied = $1, \
    last_attempt = CASE WHEN $2 > last_attempt THEN $2 ELSE last_attempt END, \
    epoch = CASE WHEN $3 < 0 THEN epoch ELSE $3 END WHERE id = 1";
const META_READ: &str = "SELECT applied, last_attempt, epoch FROM meta WHERE id = 1";

/// A table with a key and a body.
struct Document {
    what: &'static str,
    put: Bulk<2>,
    remove: Bulk<1>,
    all: &'static str,
}

impl Document {
    async fn write<K, V: Serialize>(
        &self,
        transaction: &mut Transaction,
        slots: &Slots<'_, K, V>,
        key: impl Fn(&K) -> String + Send,
    ) -> Result<(), StoreError> {
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        for (id, value) in slots {
            match value {
                Some(value) => put.push([key(id).into(), json::write(self.what, value)?.into()]),
                None => removed.push([key(id).into()]),
            }
        }
        self.put.run(transaction, put).await?;
        self.remove.run(transaction, removed).await?;
        Ok(())
    }
}

/// Writes what a commit leaves.
pub(crate) async fn write(transaction: &mut Transaction, batch: &Batch<'_>) -> Result<(), StoreError> {
    NODE.write(transaction, &batch.nodes, ToString::to_string).await?;
    WORKLOAD.write(transaction, &batch.workloads, ToString::to_string).await?;
    DEPLOYMENT.write(transaction, &batch.deployments, ToString::to_string).await?;
    RESOURCE.write(transaction, &batch.resources, ToString::to_string).await?;
    AGENT.write(transaction, &batch.agents, ToString::to_string).await?;
    AGENT_RELEASE.write(transaction, &batch.agent_releases, ToString::to_string).await?;
    // Displayed, the hash of a token is shortened for people.
    ENROL_TOKEN.write(transaction, &batch.enrol_tokens, |hash| hash.0.to_string()).await?;
    API_TOKEN.write(transaction, &batch.api_tokens, |hash| hash.0.to_string()).await?;
    write_agent_upgrades(transaction, batch).await?;
    write_parameters(transaction, batch).await?;
    write_revisions(transaction, batch).await?;
    write_node_roles(transaction, batch).await?;
    write_attempts(transaction, batch).await?;
    if batch.applied > Seq(0) {
        let epoch = batch.epoch.map_or(Ok(-1), |epoch| int(epoch.0))?;
        let values = vec![int(batch.applied.0)?.into(), int(batch.last_attempt.0)?.into(), epoch.into()];
        transaction.execute(META_WRITE, values).await?;
    }
    Ok(())
}

async fn write_agent_upgrades(transaction: &mut Transaction, batch: &Batch<'_>) -> Result<(), StoreError> {
    let mut put = Vec::with_capacity(batch.agent_upgrades.len());
    for (no, upgrade) in &batch.agent_upgrades {
        put.push([int(no.0)?.into(), json::write("upgrade of the agents", upgrade)?.into()]);
    }
    AGENT_UPGRADE_PUT.run(transaction, put).await?;
    Ok(())
}

async fn write_parameters(transaction: &mut Transaction, batch: &Batch<'_>) -> Result<(), StoreError> {
    let (mut put, mut removed) = (Vec::new(), Vec::new());
    for ((scope, name), value) in &batch.parameters {
        let (scope, name): (Value, Value) = (scope.to_string().into(), name.as_str().into());
        match value {
            Some(value) => put.push([scope, name, json::write("parameter", value)?.into()]),
            None => removed.push([scope, name]),
        }
    }
    let cleared = batch.cleared.iter().map(|scope| [scope.to_string().into()]).collect();
    PARAMETER_CLEAR.run(transaction, cleared).await?;
    PARAMETER_PUT.run(transaction, put).await?;
    PARAMETER_REMOVE.run(transaction, removed).await?;
    Ok(())
}

async fn write_revisions(transaction: &mut Transaction, batch: &Batch<'_>) -> Result<(), StoreError> {
    let superseded = batch.superseded.iter().map(|name| [name.as_str().into()]).collect();
    REVISION_SUPERSEDE.run(transaction, superseded).await?;
    let mut added = Vec::with_capacity(batch.revisions.len());
    for row in &batch.revisions {
        added.push([
            int(row.seq.0)?.into(),
            row.revision.deployment.as_str().into(),
            int(row.revision.no.0)?.into(),
            i64::from(row.latest).into(),
            json::write("revision", row.revision)?.into(),
        ]);
    }
    REVISION_ADD.run(transaction, added).await?;
    Ok(())
}

async fn write_node_roles(transaction: &mut Transaction, batch: &Batch<'_>) -> Result<(), StoreError> {
    let unmoved = NodeRoleStatus::new();
    let (mut specified, mut put, mut moved, mut removed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, slot) in &batch.node_roles {
        match slot {
            NodeRoleSlot::Specified(spec) => specified.push(node_role(id, spec, &unmoved)?),
            NodeRoleSlot::Put(spec, status) => put.push(node_role(id, spec, status.unwrap_or(&unmoved))?),
            NodeRoleSlot::Moved(status) => {
                let status: (Value, Value) = (status.state.word().into(), json::write("status", status)?.into());
                moved.push([id.to_string().into(), status.0, status.1]);
            }
            NodeRoleSlot::Removed => removed.push([id.to_string().into()]),
        }
    }
    NODE_ROLE_SPECIFY.run(transaction, specified).await?;
    NODE_ROLE_PUT.run(transaction, put).await?;
    NODE_ROLE_REMOVE.run(transaction, removed).await?;
    let expected = moved.len() as u64;
    let touched = NODE_ROLE_MOVE.run(transaction, moved).await?;
    if touched != expected {
        let detail = format!("{} of {expected} node-roles that move are not there", expected - touched);
        return Err(corrupt("history", &detail));
    }
    Ok(())
}

fn node_role(id: &NodeRoleId, spec: &NodeRoleSpec, status: &NodeRoleStatus) -> Result<[Value; 5], StoreError> {
    Ok([
        id.to_string().into(),
        id.deployment.as_str().into(),
        status.state.word().into(),
        json::write("node-role", spec)?.into(),
        json::write("status", status)?.into(),
    ])
}

async fn write_attempts(transaction: &mut Transaction, batch: &Batch<'_>) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(batch.attempts.len());
    for (id, attempt) in &batch.attempts {
        rows.push([
            int(id.0)?.into(),
            attempt.node_role.to_string().into(),
            attempt.node_role.deployment.as_str().into(),
            i64::from(attempt.outcome.is_some()).into(),
            json::write("attempt", attempt)?.into(),
        ]);
    }
    ATTEMPT_PUT.run(transaction, rows).await?;
    Ok(())
}

/// The World after the last committed change.
pub(crate) async fn load(database: &Database) -> Result<World, StoreError> {
    load_in(&mut database.snapshot().await?).await
}

/// The same, as a transaction sees it.
pub(crate) async fn load_in(transaction: &mut Transaction) -> Result<World, StoreError> {
    let mut loading = Loading { transaction, world: World::default() };
    loading.bodies(&NODE, |node| Change::NodePut { node }).await?;
    loading.bodies(&WORKLOAD, |workload| Change::WorkloadImported { workload }).await?;
    loading.bodies(&DEPLOYMENT, |deployment| Change::DeploymentPut { deployment }).await?;
    loading.bodies(&RESOURCE, |resource| Change::ResourcePut { resource }).await?;
    loading.bodies(&AGENT, |agent| Change::AgentPut { agent }).await?;
    loading.bodies(&AGENT_RELEASE, |release| Change::AgentReleasePut { release }).await?;
    loading
        .rows(AGENT_UPGRADE_LAST, |row| {
            body("upgrade of the agents", row, |upgrade| Change::AgentUpgradePut { upgrade })
        })
        .await?;
    loading.bodies(&ENROL_TOKEN, |token| Change::EnrolTokenPut { token }).await?;
    loading.bodies(&API_TOKEN, |token| Change::ApiTokenPut { token }).await?;
    loading.rows(PARAMETER_ALL, parameter).await?;
    loading
        .rows(REVISION_LATEST, |row| body("revision", row, |revision| Change::RevisionAccepted { revision }))
        .await?;
    loading.node_roles().await?;
    loading.rows(ATTEMPT_UNDER_WAY, |row| body("attempt", row, |attempt| Change::AttemptPut { attempt })).await?;
    loading.head().await?;
    Ok(loading.world)
}

/// A World that is being read.
struct Loading<'a> {
    transaction: &'a mut Transaction,
    world: World,
}

impl Loading<'_> {
    async fn bodies<T: serde::de::DeserializeOwned>(
        &mut self,
        document: &Document,
        change: impl Fn(T) -> Change + Send + Sync,
    ) -> Result<(), StoreError> {
        self.rows(document.all, |row| body(document.what, row, &change)).await
    }

    async fn rows(
        &mut self,
        sql: &'static str,
        change: impl Fn(&Row) -> Result<Change, StoreError> + Send,
    ) -> Result<(), StoreError> {
        for row in self.transaction.fetch(sql, Vec::new()).await? {
            self.apply(&change(&row)?)?;
        }
        Ok(())
    }

    async fn node_roles(&mut self) -> Result<(), StoreError> {
        for row in self.transaction.fetch(NODE_ROLE_ALL, Vec::new()).await? {
            let spec: Arc<NodeRoleSpec> = json::read("node-role", row.text(0)?)?;
            let status = json::read("status", row.text(1)?)?;
            let id = spec.id.clone();
            self.apply(&Change::NodeRoleSpecified { spec })?;
            self.apply(&Change::NodeRoleMoved { id, status })?;
        }
        Ok(())
    }

    async fn head(&mut self) -> Result<(), StoreError> {
        let rows = self.transaction.fetch(META_READ, Vec::new()).await?;
        let row = rows.first().ok_or_else(|| corrupt("head of history", &"its row is missing"))?;
        self.apply(&Change::EpochBegan { epoch: Epoch(row.number(2)?) })?;
        self.world.set_applied(Seq(row.number(0)?), AttemptId(row.number(1)?));
        Ok(())
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        self.world.apply(change).map_err(|error| corrupt("projection", &error))
    }
}

fn body<T: serde::de::DeserializeOwned>(
    what: &'static str,
    row: &Row,
    change: impl Fn(T) -> Change,
) -> Result<Change, StoreError> {
    json::read(what, row.text(0)?).map(change)
}

fn parameter(row: &Row) -> Result<Change, StoreError> {
    let scope: ParameterScope = row.text(0)?.parse().map_err(|error| corrupt("parameter", &error))?;
    let name = row.text(1)?.parse().map_err(|error| corrupt("parameter", &error))?;
    Ok(Change::ParameterSet { scope, name, parameter: Some(json::read("parameter", row.text(2)?)?) })
}
