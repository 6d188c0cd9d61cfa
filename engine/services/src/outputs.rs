//! The outputs of a resource, as the services hand them back: a few named values. What they mean is said by the signatures of the
//! builtin actions in `rebar-model`.

use std::collections::BTreeMap;

use rebar_model::Ident;
use serde_json::Value;

/// Outputs under their names, which are constants of this crate.
pub(crate) fn outputs<const N: usize>(values: [(&str, Value); N]) -> BTreeMap<Ident, Value> {
    values
        .into_iter()
        .map(|(name, value)| (Ident::new(name).expect("names of outputs are identifiers"), value))
        .collect()
}
