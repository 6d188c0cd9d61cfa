//! Turns the inputs of a `builtin` role into the resource that its service shall make. The ports of each action are fixed and
//! documented in the model.

use std::collections::BTreeMap;

use rebar_model::{BuiltinAction, HealthCheck, Ident, ReadyWhen, ResolvedInput, ResourceKind, Span};
use serde::de::DeserializeOwned;
use serde_json::Value;

const DEFAULT_TTL: u32 = 30;
const DEFAULT_DRAIN: Span = Span::from_secs(30);
const DEFAULT_VALIDITY: Span = Span::from_secs(90 * 24 * 3600);

/// The resource that a `builtin` role wishes for; the error says which input is wrong.
pub(crate) fn resource_kind(
    action: BuiltinAction,
    inputs: &BTreeMap<Ident, ResolvedInput>,
) -> Result<ResourceKind, String> {
    let port = Ports(inputs);
    Ok(match action {
        BuiltinAction::DnsRecord => ResourceKind::DnsRecord {
            name: port.get::<String>("name")?.trim_end_matches('.').to_owned(),
            record: port.or("type", "A".to_owned())?,
            values: port.get("values")?,
            ttl: port.or("ttl", DEFAULT_TTL)?,
        },
        BuiltinAction::IpamAddress => {
            ResourceKind::IpamAddress { pool: port.get("pool")?, exclude: port.or("exclude", Vec::new())? }
        }
        BuiltinAction::LbVip => ResourceKind::LbVip {
            address: port.get("address")?,
            port: port.get("port")?,
            check: port.or("check", HealthCheck::Tcp)?,
        },
        BuiltinAction::LbBackend => ResourceKind::LbBackend {
            vip: port.get("vip")?,
            address: port.get("address")?,
            port: port.get("port")?,
            drain_timeout: port.or("drain_timeout", DEFAULT_DRAIN)?,
            ready_when: port.or("ready_when", ReadyWhen::default())?,
        },
        BuiltinAction::PkiCa => ResourceKind::PkiCa { common_name: port.get("common_name")? },
        BuiltinAction::PkiCert => ResourceKind::PkiCert {
            ca: port.get("ca")?,
            csr: port.get("csr")?,
            common_name: port.get("common_name")?,
            sans: port.get("sans")?,
            usages: port.get("usages")?,
            valid_for: port.or("valid_for", DEFAULT_VALIDITY)?,
        },
        BuiltinAction::WaitHttp => ResourceKind::WaitHttp {
            url: port.get("url")?,
            status: port.or("status", None)?,
            ca_pem: port.or("ca_pem", None)?,
        },
        BuiltinAction::WaitTcp => ResourceKind::WaitTcp { address: port.get("address")?, port: port.get("port")? },
        BuiltinAction::NodeReboot | BuiltinAction::OsInstall | BuiltinAction::BmcPower => {
            return Err(format!("the engine has no service for `{}`", action.name()));
        }
    })
}

struct Ports<'a>(&'a BTreeMap<Ident, ResolvedInput>);

impl Ports<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(it, _)| it.as_str() == name).map(|(_, it)| &it.value).filter(|it| !it.is_null())
    }

    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let value = self.value(name).ok_or_else(|| format!("input `{name}` is missing"))?;
        serde_json::from_value(value.clone()).map_err(|error| format!("input `{name}`: {error}"))
    }

    fn or<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T, String> {
        if self.value(name).is_some() { self.get(name) } else { Ok(default) }
    }
}
